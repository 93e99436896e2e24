/**
 * Trace: one JSON line for each step of a protocol, presence's or commands', to be checked against
 * tla/.
 * From: acceptors and the registrar, each at the line that does the step.
 * To: one file per process, when a folder was named; else nowhere, at the cost of an empty call.
 * Bound: none: it is for tests. Lines are written before the step goes on, so a kill loses none.
 */
import { mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/**
 * `action` is the step's name in tla/Presence.tla; `Commands!<Action>` is one of Commands.tla,
 * `Will!<Action>` one of Will.tla.
 */
export type Trace = (action: string, fields: Readonly<Record<string, unknown>>) => void;

export const noTrace: Trace = () => {};

/**
 * Traces of this process into `folder`, made if need be: `<process>.ndjson`. `us` of a line is the
 * machine's own clock, the same for all processes.
 */
export function traceTo(folder: string, who: string): Trace {
  mkdirSync(folder, { recursive: true });
  const file = openSync(join(folder, `${who}.ndjson`), 'a');
  return (action, fields) => {
    const us = Number(process.hrtime.bigint() / 1_000n);
    writeSync(file, `${JSON.stringify({ us, process: who, action, ...fields })}\n`);
  };
}
