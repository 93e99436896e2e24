/**
 * Prover: asks a fresh process whether what is on disk now can replace what runs.
 * From: reload.ts, with the config that runs.
 * To: `owsla prove` of the installation at its real path; the edition that it has proved.
 * Bound: PROVE_MS and the time of the brokers; then it is killed, and nothing was changed.
 */
import { fork } from 'node:child_process';
import { realpathSync } from 'node:fs';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import type { ProofMessage, Proved, ProveMessage } from './proof.ts';

/** Rejects with a StartError: the sentence for who asked. */
export type Prove = (running: Config) => Promise<Proved>;

/** Beside the brokers' time: reading code from a cold disk. */
const PROVE_MS = 30_000;
/** Of what it prints when it cannot speak our words. */
const TEXT_CHARS_MAX = 2_000;

/** `cli`: as it was called, a link perhaps; `args`: those of `serve`. */
export function proverOf(cli: string, args: readonly string[]): Prove {
  return async (running) => {
    const message: ProveMessage = { type: 'prove', args, running };
    const answer = await answerOf(realPathOf(cli), message, PROVE_MS + brokersMs(running));
    if (answer.type === 'proved') return answer;
    throw new StartError(EXIT.config, answer.sentence);
  };
}

function brokersMs({ limits }: Config): number {
  return 2 * limits.brokerConnectMs;
}

/** What an installation has put there since. */
function realPathOf(cli: string): string {
  try {
    return realpathSync(cli);
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    throw new StartError(EXIT.config, `${cli} cannot be read (${code})`);
  }
}

function answerOf(path: string, message: ProveMessage, ms: number): Promise<ProofMessage> {
  const child = fork(path, ['prove'], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] });
  let text = '';
  let answer: ProofMessage | undefined;
  child.stderr?.setEncoding('utf8').on('data', (some: string) => {
    text = (text + some).slice(-TEXT_CHARS_MAX);
  });
  child.on('message', (said: ProofMessage) => {
    answer ??= said;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  return new Promise((resolve) => {
    const refuse = (sentence: string) => resolve(answer ?? { type: 'refused', sentence });
    child.on('error', (error) => refuse(`${path} cannot be run: ${error.message}`));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const last = text.trim().split('\n').at(-1);
      refuse(last || `the proof of ${path} ended with ${signal ?? `code ${code}`}`);
    });
    child.send(message, () => {});
  });
}
