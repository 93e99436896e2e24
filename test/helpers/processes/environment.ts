/** Environment: ours for a child, without the OWSLA_ variables of whoever runs us. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([name]) => !name.startsWith('OWSLA_')));
}
