/**
 * Watch: the node's gauges through a run, each against the limit that bounds it.
 * From: /metrics, every LOOK_MS.  To: the highest value of each gauge, and memory.
 * Bound: nothing is kept but the highest; a page that does not come is left out.
 */
import type { Limits } from '../../src/base/limits.ts';

const LOOK_MS = 500;

type Gauges = ReadonlyMap<string, number>;

interface Rule {
  readonly gauge: string;
  /** The limit's name, for people. */
  readonly limit: string;
  readonly most: (limits: Limits, gauges: Gauges) => number;
}

const links = (gauges: Gauges) => gauges.get('links') ?? 0;

/** EVENTs and REQUESTs have a window each, and one gauge. */
const KINDS = 2;

/** Of one acceptor each. */
const RULES: readonly Rule[] = [
  {
    gauge: 'confirms_waiting',
    limit: 'publishWindowMax of EVENTs and of REQUESTs',
    most: (limits) => KINDS * limits.publishWindowMax,
  },
  {
    gauge: 'confirms_waiting_bytes',
    limit: 'publishWindowBytes and one frame of each',
    most: (limits) => KINDS * (limits.publishWindowBytes + limits.frameBytesMax),
  },
  {
    gauge: 'requests_open',
    limit: 'inFlightMax of each link',
    most: (limits, gauges) => limits.inFlightMax * links(gauges),
  },
  { gauge: 'paused_links', limit: 'the links', most: (_, gauges) => links(gauges) },
  {
    gauge: 'connects_waiting',
    limit: 'connectQueueMax',
    most: (limits) => limits.connectQueueMax,
  },
  { gauge: 'greetings', limit: 'greetingsMax', most: (limits) => limits.greetingsMax },
  {
    gauge: 'sockets',
    limit: 'linksMax and refusingMax',
    most: (limits, gauges) => (gauges.get('links_max') ?? 0) + limits.refusingMax,
  },
];

export interface Highest {
  readonly gauge: string;
  readonly limit: string;
  /** Highest value in one acceptor, and what the limit allowed it to be. */
  readonly value: number;
  readonly most: number;
}

export class Watch {
  readonly #page: () => Promise<string>;
  readonly #limits: Limits;
  readonly #highest = new Map<string, Highest>();
  readonly #breaches: string[] = [];
  readonly #timer: NodeJS.Timeout;
  #isLooking = false;
  /** Resident memory of the acceptors together, as of the last look; and the highest. */
  bytes = 0;
  bytesMax = 0;

  /** `page` gives /metrics. */
  constructor(page: () => Promise<string>, limits: Limits) {
    this.#page = page;
    this.#limits = limits;
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get highest(): Highest[] {
    return [...this.#highest.values()];
  }

  /** One sentence for each gauge that was seen above its limit. */
  get breaches(): readonly string[] {
    return this.#breaches;
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      this.judge(await this.#page());
    } catch {
      // The observer was busy; the next page says it.
    } finally {
      this.#isLooking = false;
    }
  }

  /** Take one page of metrics. */
  judge(page: string): void {
    let bytes = 0;
    for (const gauges of gaugesOf(page).values()) {
      bytes += gauges.get('rss_bytes') ?? 0;
      for (const { gauge, limit, most } of RULES) {
        const value = gauges.get(gauge);
        if (value !== undefined) {
          this.#judge({ gauge, limit, value, most: most(this.#limits, gauges) });
        }
      }
    }
    this.bytes = bytes;
    this.bytesMax = Math.max(this.bytesMax, bytes);
  }

  #judge(seen: Highest): void {
    const { gauge, limit, value, most } = seen;
    const highest = this.#highest.get(gauge);
    if (highest === undefined || value > highest.value) this.#highest.set(gauge, seen);
    if (value > most && (highest === undefined || highest.value <= highest.most)) {
      this.#breaches.push(`${gauge} was ${value}, above ${limit} (${most})`);
    }
  }
}

/** The gauges without a label, by acceptor. */
function gaugesOf(page: string): Map<string, Map<string, number>> {
  const acceptors = new Map<string, Map<string, number>>();
  for (const [, name = '', acceptor = '', value] of page.matchAll(
    /^owsla_acceptor_(\w+)\{acceptor="(\d+)"\} (\S+)$/gm,
  )) {
    const gauges = acceptors.get(acceptor) ?? new Map<string, number>();
    gauges.set(name, Number(value));
    acceptors.set(acceptor, gauges);
  }
  return acceptors;
}
