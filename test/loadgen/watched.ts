/**
 * Watched: one run against a scripted server, with the moments at which its devices said HELLO.
 * From: the component tests.  To: the report, the server's counts, the HELLOs.
 * Bound: a run that gives no report throws what it printed.
 */
import type { Report } from '../../loadgen/report/report.ts';
import { type Script, ScriptedServer } from './scriptedServer.ts';
import { runToEnd } from './spawn.ts';

export interface Seen {
  readonly report: Report;
  readonly server: ScriptedServer;
  /** Milliseconds of each HELLO since the first one, by device. */
  readonly hellos: Map<string, number[]>;
  readonly exitCode: number | null;
}

/** Run, noting when each device said HELLO. */
export async function watched(script: Script, flags: readonly string[]): Promise<Seen> {
  const hellos = new Map<string, number[]>();
  let firstMs: number | undefined;
  const server = new ScriptedServer({
    ...script,
    onHello: (link, hello) => {
      firstMs ??= performance.now();
      const times = hellos.get(link.deviceId) ?? [];
      hellos.set(link.deviceId, [...times, performance.now() - firstMs]);
      return script.onHello?.(link, hello) ?? false;
    },
  });
  const port = await server.listen();
  const outcome = await runToEnd(['--target', `127.0.0.1:${port}`, '--quiet', ...flags]);
  await server.close();
  const { report, exitCode } = outcome;
  if (report === undefined) throw new Error(outcome.stderr);
  return { report, server, hellos, exitCode };
}
