// GPS103: the text protocol of GPS trackers such as the TK103, for a listener of Owsla
// (docs/protocols.md). Each message ends with a semicolon:
//
//   ##,imei:359586015829802,A;                                    login; the answer is LOAD
//   359586015829802;                                              a sign of life; ON
//   imei:359586015829802,tracker,0809231929,,F,112909.397,A,2234.4669,N,11354.3287,E,0.11,;
//   **,imei:359586015829802,J;                                    to the device: stop the engine
//
// It has no acknowledgement of positions and no number for a command: a device answers a command
// with a message whose keyword says which one it was.

/** Commands that a backend may send: what the device is sent, and the keyword of its answer. */
const COMMANDS = {
  locate: { letter: 'B', answer: 'tracker' },
  'engine.stop': { letter: 'J', answer: 'jt' },
  'engine.resume': { letter: 'K', answer: 'kt' },
};

const KNOTS_TO_KMH = 1.852;

/** @type {import('owsla/protocol').CreateProtocol} */
export function createProtocol({ framing }) {
  const frame = framing.delimited(';');
  return {
    name: 'gps103',
    capabilities: {
      events: true,
      acknowledgements: false,
      requests: false,
      commands: 'results',
      keepalive: 'device',
      keepaliveSeconds: 180,
    },
    connect: (saved) => new Tracker(frame, saved),
  };
}

/** One link. */
class Tracker {
  /** @param {import('owsla/protocol').Framer} frame */
  constructor(frame, saved = { imei: '', waiting: {} }) {
    this.frame = frame;
    this.imei = saved.imei;
    /** Commands without an answer: their numbers, by the keyword of the answer. */
    this.waiting = saved.waiting;
  }

  read(frame) {
    const text = frame.toString('latin1').slice(0, -1).trim();
    if (/^\d{15}$/.test(text)) return { type: 'alive', answer: 'ON' };
    const login = /^##,imei:(\d{15}),A$/.exec(text);
    if (login) return this.login(login[1]);
    const words = text.split(',');
    if (words[0] !== `imei:${this.imei}` || words.length < 2) throw new Error('no such message');
    return this.report(words);
  }

  login(imei) {
    this.imei = imei;
    return { type: 'login', deviceId: imei };
  }

  report(words) {
    const keyword = words[1];
    const place = placeOf(words);
    const said = this.isAnswer(keyword) ? [this.resultOf(keyword, place)] : [];
    if (keyword === 'jt' || keyword === 'kt') return said;
    const event = { type: 'event', payload: place, at: timeOf(words) };
    if (keyword === 'tracker') return [...said, { ...event, topic: 'position' }];
    // Without this answer the device sends its alarm again and again.
    const ack = keyword === 'help me' ? this.line('E') : undefined;
    return { ...event, topic: `alarm.${keyword.replaceAll(/[^A-Za-z0-9]+/g, '-')}`, ack };
  }

  isAnswer(keyword) {
    return Object.hasOwn(this.waiting, keyword);
  }

  resultOf(keyword, payload) {
    const number = this.waiting[keyword];
    delete this.waiting[keyword];
    return { type: 'result', number, payload };
  }

  welcome() {
    return 'LOAD';
  }

  command({ topic, number }) {
    const known = Object.hasOwn(COMMANDS, topic) ? COMMANDS[topic] : undefined;
    if (known === undefined) return undefined;
    this.waiting[known.answer] = number;
    return this.line(known.letter);
  }

  line(letter) {
    return `**,imei:${this.imei},${letter};`;
  }

  save() {
    return { imei: this.imei, waiting: this.waiting };
  }
}

/** imei, keyword, local time, phone, F or L, UTC time, A or V, latitude, N, longitude, E, knots. */
function placeOf(words) {
  const [, , , , signal, , isValid] = words;
  if (signal !== 'F' || isValid !== 'A') return { hasFix: false };
  const [lat, ns, lon, ew, knots] = words.slice(7, 12);
  return {
    hasFix: true,
    lat: degreesOf(lat, 2, ns === 'S'),
    lon: degreesOf(lon, 3, ew === 'W'),
    kmh: Math.round(Number(knots || 0) * KNOTS_TO_KMH * 10) / 10,
  };
}

/** `2234.4669` is 22 degrees and 34.4669 minutes. */
function degreesOf(text = '', digits, isNegative) {
  if (!/^\d{4,5}\.\d{1,6}$/.test(text)) throw new Error('no such place');
  const degrees = Number(text.slice(0, digits)) + Number(text.slice(digits)) / 60;
  return Math.round((isNegative ? -degrees : degrees) * 1e6) / 1e6;
}

const HALF_DAY_MS = 43_200_000;

/** The date is local, the time is UTC: near midnight they are of two days. */
function timeOf(words) {
  const local = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/.exec(words[2] ?? '');
  const utc = /^(\d\d)(\d\d)(\d\d)/.exec(words[5] ?? '');
  if (!local || !utc) return undefined;
  const [year, month, day, hour, minute] = local.slice(1).map(Number);
  const [utcHour, utcMinute, utcSecond] = utc.slice(1).map(Number);
  const there = Date.UTC(2000 + year, month - 1, day, hour, minute);
  const time = Date.UTC(2000 + year, month - 1, day, utcHour, utcMinute, utcSecond);
  if (time - there > HALF_DAY_MS) return time - 2 * HALF_DAY_MS;
  return there - time > HALF_DAY_MS ? time + 2 * HALF_DAY_MS : time;
}

/** For `owsla-loadgen run --protocol`. @type {import('owsla/protocol').CreateDevice} */
export function createDevice() {
  return {
    ids: { prefix: '359586', length: 15 },
    connect: (imei) => new SimulatedTracker(imei),
  };
}

/** The device's end of one link. It has no place for bytes of anybody else's. */
class SimulatedTracker {
  constructor(imei) {
    this.imei = imei;
  }

  /** LOAD, ON, or a command up to its semicolon. */
  frame(bytes) {
    if (bytes[0] === 0x4c) return 4;
    if (bytes[0] === 0x4f) return 2;
    const at = bytes.indexOf(';');
    return at === -1 ? undefined : at + 1;
  }

  read(frame) {
    if (frame.length === 4) return { type: 'welcome' };
    return frame.length === 2 ? { type: 'alive' } : { type: 'command' };
  }

  login() {
    return `##,imei:${this.imei},A;`;
  }

  event() {
    return `imei:${this.imei},tracker,${FIX};`;
  }

  alive() {
    return `${this.imei};`;
  }
}

const IMEI = '359586015829802';
const FIX = '0809231929,,F,112909.397,A,2234.4669,N,11354.3287,E,0.11,';

/** For `owsla protocol check`. @type {import('owsla/protocol').Sample[]} */
export const samples = [
  {
    name: 'a login, signs of life and positions',
    device: [
      `##,imei:${IMEI},A;`,
      `${IMEI};`,
      `imei:${IMEI},tracker,${FIX};`,
      `imei:${IMEI},tracker,0809231930,,L,,,,,,,,;`,
      `imei:${IMEI},help me,${FIX};\r\n`,
      `imei:${IMEI},low battery,${FIX};`,
    ],
  },
  {
    name: 'a command and its answer',
    commands: [{ topic: 'engine.stop' }, { topic: 'locate' }],
    device: [
      `##,imei:${IMEI},A;`,
      `imei:${IMEI},jt,${FIX};`,
      `imei:${IMEI},tracker,${FIX};`,
      `${IMEI};`,
    ],
  },
];
