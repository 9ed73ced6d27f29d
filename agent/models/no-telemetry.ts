/**
 * ONNX Runtime's builds for Linux and macOS, from 1.29 on, tell their maker of each model that is loaded, keep an id
 * of the machine in the user's cache folder and logs in the temporary one. This variable turns all of that off, where
 * a process has it from its start (its privacy notes, docs/Privacy.md). On Windows it writes events to the system's
 * tracing, which only the system's own settings govern.
 */
export const NO_TELEMETRY: Readonly<Record<string, string>> = { ORT_DISABLE_TELEMETRY: '1' };
