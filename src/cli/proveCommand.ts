/**
 * ProveCommand: what a supervisor asks the code on disk before a reload.
 * From: prover.ts of the supervisor, by the channel of fork: arguments and what runs.
 * To: proof.ts; the answer, by the same channel.
 * Bound: one proof; the supervisor ends it when it takes too long.
 */
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { makeLogger } from '../base/log.ts';
import { redact } from '../base/redact.ts';
import { type ProofMessage, type ProveMessage, proveReload } from '../supervisor/proof.ts';

type Prove = (config: Config) => Promise<void>;

/** `read`: reads the arguments, and calls back with the config that they make. */
export async function proveAsked(
  read: (args: readonly string[], prove: Prove) => Promise<void>,
): Promise<void> {
  if (process.send === undefined) {
    throw new StartError(EXIT.usage, 'prove is for a node that reloads; say owsla check');
  }
  const { args, running } = await new Promise<ProveMessage>((resolve) => {
    process.once('message', (message) => resolve(message as ProveMessage));
  });
  // The node has gone.
  process.once('disconnect', () => process.exit());
  let answer: ProofMessage | undefined;
  try {
    await read(args, async (config) => {
      const log = makeLogger(config.logLevel, { role: 'proof' });
      answer = { type: 'proved', ...(await proveReload(running, config, log)) };
    });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    answer = { type: 'refused', sentence: redact(error.message) };
  }
  process.send(answer, () => process.exit(EXIT.ok));
}
