/** NATS subjects and streams: the one place that spells them. Ids in subjects are [a-zA-Z0-9-]. */
export const JOURNAL_STREAM = 'FURROW_JOURNAL';
export const JOURNAL_SUBJECT = 'furrow.journal';
export const LOG_STREAM = 'FURROW_LOG';
export const LOG_SUBJECTS = 'furrow.log.>';
/** Advisory only: whose turn it might be to lead. */
export const LEADER_BUCKET = 'FURROW_LEADER';

export const grantSubject = (agentId: string, session: string): string =>
  `furrow.grant.${agentId}.${session}`;
/** Where answers to an agent's own requests arrive: it may listen nowhere else. */
export const agentInboxPrefix = (agentId: string): string => `_INBOX.${agentId}`;
/** The leader says so, now and then. */
export const REIGN_SUBJECT = 'furrow.reign';
export const resultSubject = (agentId: string): string => `furrow.result.${agentId}`;
export const RESULT_SUBJECTS = 'furrow.result.*';
export const checkpointSubject = (agentId: string): string => `furrow.checkpoint.${agentId}`;
export const CHECKPOINT_SUBJECTS = 'furrow.checkpoint.*';
export const progressSubject = (jobId: string, agentId: string): string =>
  `furrow.progress.${jobId}.${agentId}`;
export const PROGRESS_SUBJECTS = 'furrow.progress.>';
export const logSubject = (jobId: string, agentId: string): string =>
  `furrow.log.${jobId}.${agentId}`;
export const SNAPSHOT_STREAM = 'FURROW_SNAPSHOT';
export const SNAPSHOT_SUBJECTS = 'furrow.snapshot.*';
/** Chunks of the snapshot that holds all commits up to this sequence of the journal. */
export const snapshotSubject = (sequence: number): string => `furrow.snapshot.${sequence}`;
export const ARCHIVE_STREAM = 'FURROW_ARCHIVE';
export const ARCHIVE_SUBJECTS = 'furrow.archive.*.*';
/** Chunks of one part of a segment of the archive: `index` or `images`. */
export const archiveSubject = (segment: string, part: string): string =>
  `furrow.archive.${segment}.${part}`;
