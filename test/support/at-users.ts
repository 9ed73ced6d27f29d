/** What programs take for a sign of a continuous integration, and behave otherwise. */
export const CI_MARKS = ['CI', 'GITHUB_ACTIONS', 'TF_BUILD'];

/** The environment as a user has it, whoever runs the tests. */
export function asAtUsers(): NodeJS.ProcessEnv {
  const marks = new Set([...CI_MARKS, 'ORT_DISABLE_TELEMETRY']);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !marks.has(name)));
}
