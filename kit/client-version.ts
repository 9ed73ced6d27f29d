/** Metadata of a gRPC call: which version of furrow asks. Left out by clients that are not ours. */
export const CLIENT_VERSION_KEY = 'furrow-client-version';
