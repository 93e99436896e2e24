/** `make bench`: parts of the hot path, then a node beside the floor. About five minutes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

for (const [file, ...flags] of [['studies/micro.ts'], ['studies/pair.ts', '--base', 'floor']]) {
  const script = join(import.meta.dirname, String(file));
  const child = spawn(process.execPath, [script, ...flags], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code !== 0) process.exit(Number(code ?? 1));
}
