/** What both ends of the blob server's HTTP agree on. */

/** Larger blobs are uploaded by tus, which resumes; up to here sending again is cheaper. */
export const MAX_PUT_BYTES = 64 * 1024 * 1024;

/** `result` when an agent hands in the result of a lease: it may then use the disk's reserve. */
export const PURPOSE_HEADER = 'x-furrow-purpose';

/** Where resumable uploads begin. */
export const UPLOADS_PATH = '/uploads';
/** The job in whose name a blob is asked for: whoever sees only their own jobs must say so. */
export const JOB_HEADER = 'furrow-job';
