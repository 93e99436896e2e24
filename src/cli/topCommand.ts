/**
 * TopCommand: `owsla top`: the node as it is now, drawn again each second, until q.
 * From: commandLine.ts, a terminal's keys and size.  To: a node, by askNode.ts; the screen.
 * Bound: one question at a time. A node that does not answer is said so, and asked again.
 *
 *   drawing --key--> drawing by another column --q, Ctrl-C--> the terminal as it was
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Argv } from 'yargs';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { didYouMean } from '../base/units.ts';
import type { LiveAnswer } from '../node/liveAnswer.ts';
import { askNode, askOnce } from './askNode.ts';
import { type Arguments, type NodeCommandOptions, word } from './commandParts.ts';
import { clockOf } from './statusWords.ts';
import { TOP_SORTS, type TopSort, type TopView, topLines } from './topScreen.ts';

const DRAW_MS = 1_000;
/** Two are enough, unless this machine is so busy that the second one comes too late. */
const LOOKS_MAX = 4;
/** What a page that is printed may have: all. */
const NO_BOUND = 10_000;

const [ENTER_SCREEN, LEAVE_SCREEN] = ['\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l'];
const [HOME, TO_LINE_END, TO_SCREEN_END] = ['\x1b[H', '\x1b[K', '\x1b[J'];
const [BOLD, INVERSE, PLAIN] = ['\x1b[1m', '\x1b[7m', '\x1b[0m'];

/** Where a person sits; all of it may be missing. */
export interface Terminal {
  /** There is a screen to draw on. */
  readonly isScreen: boolean;
  size(): { readonly columns: number; readonly rows: number };
  write(text: string): void;
  /** Keys one by one, until what is given back is called. */
  onKey(handle: (key: string) => void): () => void;
  onResize(handle: () => void): () => void;
}

export interface TopCommandOptions extends Pick<NodeCommandOptions, 'nodeOptions' | 'configOf'> {
  readonly terminal: Terminal;
}

/** For yargs. */
export function topCommand(options: TopCommandOptions) {
  return {
    command: 'top',
    describe: 'show how a node is, again and again: its processes, and the links that hurt',
    builder: (y: Argv) =>
      options
        .nodeOptions(y)
        .option('sort', {
          ...word(`which links: by ${TOP_SORTS.join(', ')}; keys change it`),
          default: 'outbox',
        })
        .option('once', {
          type: 'boolean',
          describe: 'print one page; so it is without a terminal',
        })
        .option('json', { type: 'boolean', describe: 'one JSON object per second and line' })
        .epilog('q leaves. Exit code: 0; 69 no node answers, with --once.'),
    handler: (given: Arguments) => top(options, given),
  };
}

async function top({ configOf, terminal }: TopCommandOptions, given: Arguments): Promise<void> {
  const config = configOf(given);
  const sort = sortOf(given.sort);
  const ask = () => askOnce<LiveAnswer>(config, 'live', null);
  if (given.json === true) {
    await printJson(ask, terminal, given.once === true);
  } else if (given.once === true || !terminal.isScreen) {
    const answer = await withRates(ask);
    const size = { columns: NO_BOUND, rows: NO_BOUND };
    const lines = topLines({ answer, why: undefined, sort, ...size });
    terminal.write(`${lines.join('\n')}\n`);
  } else {
    await new TopPage(config, terminal, sort).run();
  }
}

function sortOf(given: unknown): TopSort {
  const sort = TOP_SORTS.find((one) => one === given);
  if (sort !== undefined) return sort;
  const near = didYouMean(String(given), TOP_SORTS);
  throw new StartError(EXIT.usage, `--sort takes one of ${TOP_SORTS.join(', ')}${near}`);
}

/** The node has rates once somebody has looked twice: if nobody has just done so, this does. */
async function withRates(ask: () => Promise<LiveAnswer>): Promise<LiveAnswer> {
  let answer = await ask();
  for (let look = 1; answer.intervalMs === 0 && look < LOOKS_MAX; look += 1) {
    await pause(DRAW_MS);
    answer = await ask();
  }
  return answer;
}

async function printJson(
  ask: () => Promise<LiveAnswer>,
  { write }: Terminal,
  isOnce: boolean,
): Promise<void> {
  let answer = await withRates(ask);
  for (;;) {
    write(`${JSON.stringify(answer)}\n`);
    if (isOnce) return;
    await pause(DRAW_MS);
    answer = await ask();
  }
}

class TopPage {
  readonly #config: Config;
  readonly #terminal: Terminal;
  readonly #left = Promise.withResolvers<void>();
  #sort: TopSort;
  #answer: LiveAnswer | undefined;
  #why: string | undefined;
  /** While a question is open: resolved when its answer is not wanted any more. */
  #unwanted: PromiseWithResolvers<undefined> | undefined;

  constructor(config: Config, terminal: Terminal, sort: TopSort) {
    this.#config = config;
    this.#terminal = terminal;
    this.#sort = sort;
  }

  /** Resolves when the person has enough. */
  async run(): Promise<void> {
    const { write, onKey, onResize } = this.#terminal;
    const noKeys = onKey((key) => this.#onKey(key));
    const noResize = onResize(() => this.#draw());
    write(ENTER_SCREEN);
    const ticker = setInterval(() => void this.#look(), DRAW_MS);
    void this.#look();
    try {
      await this.#left.promise;
    } finally {
      clearInterval(ticker);
      noKeys();
      noResize();
      this.#unwanted?.resolve(undefined);
      write(LEAVE_SCREEN);
    }
  }

  #onKey(key: string): void {
    const sort = TOP_SORTS.find((one) => one.startsWith(key.toLowerCase()));
    if (key === 'q' || key === '\x03') this.#left.resolve();
    else if (key !== '' && sort !== undefined) {
      this.#sort = sort;
      this.#draw();
    }
  }

  async #look(): Promise<void> {
    if (this.#unwanted !== undefined) return;
    // One for each question: what outlives a race keeps its result.
    this.#unwanted = Promise.withResolvers<undefined>();
    const unwanted = this.#unwanted.promise;
    const asked = askNode(this.#config, (ask) =>
      Promise.race([ask('live', null) as Promise<LiveAnswer>, unwanted]),
    );
    try {
      const answer = await Promise.race([asked, unwanted]);
      // The terminal is the shell's again.
      if (answer === undefined) return;
      this.#answer = answer;
      this.#why = undefined;
    } catch (error) {
      this.#why = `${(error as Error).message}; asking again${this.#since()}`;
    } finally {
      this.#unwanted = undefined;
    }
    this.#draw();
  }

  #since(): string {
    if (this.#answer === undefined) return '';
    return `; below is what it said at ${clockOf(this.#answer.at)}`;
  }

  #draw(): void {
    const { size, write } = this.#terminal;
    const view: TopView = {
      ...{ answer: this.#answer, why: this.#why, sort: this.#sort },
      ...size(),
    };
    const lines = topLines(view).map(withLooks);
    // Line by line over what is there: nothing flickers.
    write(`${HOME}${lines.map((line) => `${line}${TO_LINE_END}`).join('\r\n')}${TO_SCREEN_END}`);
  }
}

function withLooks(line: string): string {
  if (line.startsWith('! ')) return `${BOLD}${line}${PLAIN}`;
  return /^(?:PROCESS|DEVICE) /.test(line) ? `${INVERSE}${line}${PLAIN}` : line;
}
