/** `make bench`: the micro-benchmarks, then Owsla beside its floor. About five minutes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

for (const file of ['micro.ts', 'floor.ts']) {
  const args = [new URL(file, import.meta.url).pathname, ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code !== 0) process.exit(Number(code ?? 1));
}
