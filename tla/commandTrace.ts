/**
 * CommandTrace: what became of one device's commands, as a TLA+ module for CommandsTrace.tla.
 * From: JSON lines, as trace.ts has them.  To: the module's text and its .cfg.
 * Bound: one acceptor at a time, and one successor of it to which the device's link moves, as
 * Commands.tla has no more; some hundred lines take seconds.
 *
 * Links, lives and deaths are in presence's own lines (see trace.ts). Besides those, each with the
 * prefix `Commands!`, and with the command's key where not said otherwise:
 *
 *   registrar  Receive     device, isRedelivered: a kept command has come; it is Deliver when it is
 *                          on record
 *              Deliver     isRedelivered; a transient one also device, a kept one also arrival
 *              Answer      of a kept one also state, absent when it did not change
 *              Expire      of a kept one also reason
 *              Conclude    type, reason: the end of a transient one, made by the line before
 *              Commit, Rollback            no key: all of Deliver, Answer and Expire of kept ones
 *                          since the last of these lines has happened, all at once; or has not
 *              Send
 *              Learn       device, connection, absent when it has none; no key
 *              Show        device; no key
 *              Publish, Confirm            type, reason
 *              ChannelLost                 no key
 *              SettleEarly
 *              NothingComesAgain
 *   acceptor   TakeCommand connection; as: 'sent', 'known', or why not: 'moved' of a link that has
 *              TakeAnswer  what: 'ACK' or 'RESULT'
 */
import {
  append,
  moduleOf,
  NotModelled,
  type Step,
  type TraceLine,
  type TraceModule,
  text,
} from './trace.ts';

const PREFIX = 'Commands!';
/** What a device remembers: part of the protocol. */
const KEYS = 16;

interface Known {
  readonly name: string;
  readonly isKept: boolean;
}

const DONE_AT_COMMIT = ['Deliver', 'Answer', 'Expire'];
const OF_MOVES = ['Offer', 'Go', 'ReadOn', 'PredecessorGone', 'SuccessorGone'];
/** These show that an acceptor's end was seen, whoever logs it first. */
const AFTER_EXIT = ['Connect', 'Accept', 'Learn', 'RegistrarStart', 'NodeStart', 'Rest'];

class Generator {
  readonly steps: Step[] = [];
  window = 1;
  /** By key; of this device. */
  readonly commands = new Map<string, Known>();
  readonly #device: string;
  readonly #keysOfOthers = new Set<string>();
  readonly #links = new Map<string, number>();
  /** Kept ones that came on the channel of now. */
  readonly #here = new Set<string>();
  /** What the registrar has done since its last Commit. */
  #batch: Step[] = [];
  /** Its last step outside of a batch, which a Conclude may belong to. */
  #last: Step | undefined;
  #channelLostAt = 0;
  #acceptor = '';
  #hasExited = false;
  /** To which the link moves, or has moved from; '' when there is none. */
  #successor = '';
  #predecessor = '';
  #isOffered = false;
  #registrar: 'first' | 'up' | 'down' = 'first';

  constructor(device: string) {
    this.#device = device;
  }

  #step(action: string, fields: Record<string, string | number> = {}): Step {
    const step: Step = { action, skip: 0, ...fields };
    this.steps.push(step);
    return step;
  }

  add(line: TraceLine): void {
    const { action: full } = line;
    const isOurs = full.startsWith(PREFIX);
    const action = isOurs ? full.slice(PREFIX.length) : full;
    if (this.#hasExited && AFTER_EXIT.includes(action) && !this.#isOffered) this.#exit();
    if (!isOurs) this.#life(action, line);
    else if (line.key === undefined) this.#ofDevice(action, line);
    else this.#ofCommand(action, text(line.key), line);
  }

  // Links, lives and deaths.

  #life(action: string, line: TraceLine): void {
    // Lines of a move name the link alone.
    const isHere = line.device === this.#device || this.#links.has(String(line.connection));
    if (action === 'RegistrarStart') this.#registrarStart(Number(line.window));
    else if (action === 'NodeStart') this.#nodeStart();
    else if (action === 'Connect') this.#connect(line.process);
    else if (action === 'AcceptorExit') this.#acceptorExit(text(line.acceptor));
    else if (action === 'SuccessorStart' && line.of === this.#acceptor)
      this.#successor = text(line.acceptor);
    else if (OF_MOVES.includes(action)) this.#move(action, line, isHere);
    else if (action === 'Accept' && isHere) this.#accept(text(line.connection));
    else if (action === 'End' && isHere) this.#step('LinkLost', { link: this.#linkOf(line) });
    else if (action === 'Rest') this.#step('Rest');
  }

  #registrarStart(window: number): void {
    this.window = window;
    this.#crash();
    if (this.#registrar !== 'first') this.#step('RegistrarStart');
    this.#registrar = 'up';
  }

  /** All that ran before has ended. The first one is the beginning. */
  #nodeStart(): void {
    if (this.#acceptor !== '') this.#exit();
    this.#successor = '';
    this.#predecessor = '';
    this.#crash();
  }

  #crash(): void {
    this.finish();
    this.#here.clear();
    if (this.#registrar !== 'up') return;
    this.#step('RegistrarCrash');
    this.#registrar = 'down';
  }

  #acceptorExit(acceptor: string): void {
    if (acceptor === this.#acceptor) this.#hasExited = true;
    else if (acceptor === this.#predecessor) {
      this.#predecessor = '';
      this.#step('BehindLost');
    }
  }

  #move(action: string, line: TraceLine, isHere: boolean): void {
    if (action === 'Offer' && isHere) {
      this.#isOffered = true;
      this.#step('Offer');
    } else if (action === 'Go' && isHere) {
      this.#step('Go');
      this.#predecessor = this.#acceptor;
      this.#movedOn();
    } else if (!this.#isOffered) return;
    else if (action === 'PredecessorGone' && line.process === this.#successor) {
      this.#step('PredecessorExit');
      this.#movedOn();
    } else if (action === 'SuccessorGone' || (action === 'ReadOn' && isHere)) {
      this.#isOffered = false;
      this.#step('Cancel');
    }
  }

  #movedOn(): void {
    this.#acceptor = this.#successor;
    this.#successor = '';
    this.#isOffered = false;
    this.#hasExited = false;
  }

  #exit(): void {
    this.#hasExited = false;
    this.#acceptor = '';
    if (this.#isOffered) this.#step('Cancel');
    this.#isOffered = false;
    this.#step('AcceptorExit');
  }

  #connect(acceptor: string): void {
    // Neither has the link: what comes of it is in the steps of the move.
    if (acceptor === this.#successor || acceptor === this.#predecessor) return;
    const isAlone = this.#acceptor === '' || this.#acceptor === acceptor;
    if (!isAlone) throw new NotModelled('commands are judged for one acceptor at a time');
    this.#acceptor = acceptor;
    this.#step('Connect');
  }

  #accept(connection: string): void {
    const link = this.#links.size + 1;
    this.#links.set(connection, link);
    this.#step('Accept', { link });
  }

  #linkOf({ connection }: TraceLine): number {
    if (connection === undefined) return 0;
    const link = this.#links.get(text(connection));
    if (link === undefined) throw new Error(`a line names a link that never was: ${connection}`);
    return link;
  }

  // The registrar.

  #ofDevice(action: string, line: TraceLine): void {
    this.#last = undefined;
    if (action === 'Commit') this.#commit(true);
    else if (action === 'Rollback') this.#batch = [];
    else if (action === 'ChannelLost') this.#channelLost();
    else if (line.device !== this.#device) return;
    else if (action === 'Learn') this.#step(action, { link: this.#linkOf(line) });
    else if (action === 'Show') this.#show();
    else throw new Error(`no such action: ${JSON.stringify(line)}`);
  }

  /** Its line follows when all is sent: an acceptor may have taken the first of that before. */
  #show(): void {
    let at = this.steps.length;
    while (this.steps[at - 1]?.action === 'TakeCommand') at -= 1;
    this.steps.splice(at, 0, { action: 'Show', skip: 0 });
  }

  /** What has come on this channel and is recorded later was delivered before all the same. */
  #channelLost(): void {
    const delivered = this.#batch.filter(({ action }) => action === 'Deliver');
    this.#batch = this.#batch.filter(({ action }) => action !== 'Deliver');
    this.#here.clear();
    this.#channelLostAt = this.steps.length;
    this.#step('ChannelLost');
    for (const step of delivered) this.#deliverBefore(step);
  }

  #deliverBefore(step: Step): void {
    this.steps.splice(this.#channelLostAt, 0, step);
    this.#channelLostAt += 1;
  }

  /** `isSure`: it is known to have happened. */
  #commit(isSure: boolean): void {
    append(this.steps, this.#batch, isSure);
    this.#batch = [];
  }

  /** The registrar died, or the trace ends, before it could say that its batch was committed. */
  finish(): void {
    this.#commit(false);
  }

  // Commands.

  #ofCommand(action: string, key: string, line: TraceLine): void {
    const isNew = action === 'Receive' || (action === 'Deliver' && line.arrival === undefined);
    if (isNew && line.device !== this.#device) this.#keysOfOthers.add(key);
    if (this.#keysOfOthers.has(key)) return;
    if (isNew) this.#come(action, key, line);
    const known = this.commands.get(key);
    if (known === undefined) throw new Error(`a command that never came: ${JSON.stringify(line)}`);
    const { name: c, isKept } = known;
    if (action === 'Receive') this.#here.add(key);
    else if (action === 'Conclude') this.#conclude(c, line);
    else if (isKept && DONE_AT_COMMIT.includes(action)) this.#onRecord(action, key, c, line);
    else if (action === 'Publish' || action === 'Confirm') this.#outcome(action, known, line);
    else if (action === 'TakeCommand' || action === 'TakeAnswer') this.#atLink(action, c, line);
    // Kept.ts looks at an answer that no transient one waits for.
    else if (action === 'Answer' && 'state' in line) return;
    else this.#last = this.#step(action, { c, ...againOf(line), end: '', due: 0 });
  }

  /** A sender repeats what the broker does not give again. */
  #come(action: string, key: string, { isRedelivered }: TraceLine): void {
    const isKept = action === 'Receive';
    const known = this.commands.get(key);
    const name = `${isKept ? 'k' : 't'}${this.commands.size + 1}`;
    if (known === undefined) this.commands.set(key, { name, isKept });
    else if (isKept && isRedelivered === false) this.#step('Repeat', { c: known.name });
  }

  #conclude(c: string, { type, reason }: TraceLine): void {
    if (this.#last?.c !== c) return;
    this.#last.end = endOf(type, reason, false);
    if (this.#last.action === 'Expire' || reason === 'past-deadline') this.#last.due = 1;
  }

  #onRecord(action: string, key: string, c: string, line: TraceLine): void {
    const { arrival, state } = line;
    const step = { action, c, skip: 0, ...againOf(line), due: 0, end: '' };
    if (action === 'Deliver') {
      step.due = arrival === 'past-deadline' ? 1 : 0;
      step.end = arrival === 'keep' || arrival === 'repeat' ? '' : 'refused';
      if (!this.#here.has(key)) return this.#deliverBefore(step);
    } else if (action === 'Answer') {
      if (state === undefined) return;
      step.end = state === 'taken' ? '' : text(state);
    } else {
      step.due = 1;
      step.end = text(line.reason);
    }
    this.#batch.push(step);
  }

  #outcome(action: string, { name: c, isKept }: Known, { type, reason }: TraceLine): void {
    if (type === 'delivered') return;
    this.#step(action, { c, end: endOf(type, reason, isKept) });
  }

  #atLink(action: string, c: string, line: TraceLine): void {
    if (action === 'TakeAnswer') this.#step(action, { c, what: text(line.what) });
    else if (line.process === this.#predecessor) {
      this.#step('TakeBehind', { c, link: this.#linkOf(line), as: text(line.as) });
    } else {
      const due = line.as === 'expired' ? 1 : 0;
      this.#step(action, { c, link: this.#linkOf(line), as: text(line.as), due });
    }
  }
}

const againOf = ({ isRedelivered }: TraceLine) => ({ again: isRedelivered === true ? 1 : 0 });

/** Commands.tla tells ends apart by their reasons; of a transient one it does not know the ACK. */
function endOf(type: unknown, reason: unknown, isKept: boolean): string {
  if (type !== 'expired') return text(type);
  return !isKept && reason === 'no-result' ? 'no-answer' : text(reason);
}

/** Devices that were sent a command. */
export function commandedDevices(lines: readonly TraceLine[]): string[] {
  const come = lines.filter(
    ({ action, device }) => /^Commands!(?:Receive|Deliver)$/.test(action) && device !== undefined,
  );
  return [...new Set(come.map(({ device }) => text(device)))];
}

/**
 * The module `name` of these lines, and the .cfg to check it with; it extends CommandsTrace.
 * Throws on a line that cannot be of such a trace; NotModelled on one that it cannot judge.
 */
export function commandModule(
  name: string,
  lines: readonly TraceLine[],
  device: string,
): TraceModule {
  const generator = new Generator(device);
  for (const line of lines.toSorted((a, b) => a.us - b.us)) generator.add(line);
  generator.finish();
  const { steps, commands, window } = generator;
  const names = (isKept: boolean) =>
    [...commands.values()].flatMap((known) => (known.isKept === isKept ? known.name : []));
  const sets = { TheKept: names(true), TheTransient: names(false) };
  const config = CONFIG.replace('WINDOW', String(window));
  return { module: moduleOf(name, 'CommandsTrace', sets, steps), config, steps };
}

const CONFIG = `CONSTANTS
  Kept <- TheKept
  Transient <- TheTransient
  Lines <- TheLines
  IsDue <- SaysDue
  Due = 1
  Horizon = 0
  Keys = ${KEYS}
  Window = WINDOW
  Links = 1000000
  Moves = 1000000
  Kinds = {"registrar", "acceptor", "stream", "channel", "post", "repeat", "row", "busy"}
  Faults = 1000000
  Without = "nothing"
SPECIFICATION TraceSpec
CHECK_DEADLOCK FALSE
`;
