/**
 * Words: figures and codes as a person reads them. Pure.
 * From: answers of the node.  To: the parts of the page.
 * Bound: none: a code that is not known is said as it is.
 */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function countOf(value) {
  return whole.format(value);
}

export function rateOf(value) {
  return `${value > 0 && value < 10 ? value.toFixed(1) : countOf(value)}/s`;
}

export function sizeOf(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const at = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** at;
  return `${value >= 10 || at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function msOf(ms) {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** `4 s`, `12 min 4 s`, `3 h 12 min`, `9 d 3 h`. */
export function spanOf(ms) {
  const [days, hours] = [Math.floor(ms / DAY), Math.floor((ms % DAY) / HOUR)];
  const [minutes, seconds] = [Math.floor((ms % HOUR) / MINUTE), Math.floor((ms % MINUTE) / SECOND)];
  if (days > 0) return joined(days, 'd', hours, 'h');
  if (hours > 0) return joined(hours, 'h', minutes, 'min');
  return minutes > 0 ? joined(minutes, 'min', seconds, 's') : `${seconds} s`;
}

function joined(large, unit, small, part) {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${part}`;
}

const METHODS = {
  none: 'as it says itself',
  key: 'a token',
  jwt: 'a signed token',
  cert: 'a certificate',
  psk: 'a shared key',
  backend: 'a backend was asked',
};

/** How it is known who a device is. */
export function methodOf(method) {
  return METHODS[method] ?? method;
}

function two(value) {
  return String(value).padStart(2, '0');
}

export function clockTimeOf(at) {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** With its date unless that is today's. */
export function momentOf(at, now = Date.now()) {
  const date = new Date(at);
  if (date.toDateString() === new Date(now).toDateString()) return clockTimeOf(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clockTimeOf(at)}`;
}

export function preciseTimeOf(at) {
  return `${clockTimeOf(at)}.${String(Math.floor(at) % SECOND).padStart(3, '0')}`;
}

const REASONS = {
  'bad-frame': 'sent bytes that are no message',
  'frame-too-long': 'sent a message that is too long',
  unexpected: 'sent a message that may not come then',
  'bad-id': 'sent a message with a wrong number',
  'bad-topic': 'sent a message with a wrong topic',
  'bad-device-id': 'gave a name that cannot be one',
  version: 'speaks another version',
  'auth-failed': 'did not prove who it is',
  'greeting-timeout': 'said nothing after it connected',
  'keepalive-timeout': 'was silent for too long',
  'outbox-full': 'did not read what was sent to it',
  'server-full': 'the node was full',
  'memory-full': 'it held too much memory',
  'rate-limited': 'too many connected at once',
  draining: 'the node was taken out of use',
  'taken-over': 'its device connected anew',
  'broker-lost': 'the broker was away',
  'auth-unavailable': 'who it is could not be checked',
  'auth-expired': 'its proof has run out',
  blocked: 'the device is blocked',
  disconnected: 'disconnected by a person',
  'peer-fin': 'the device closed it',
  'peer-bye': 'the device said goodbye',
  'peer-reset': 'the connection broke',
  'proxy-header': 'the proxy’s first line was wrong',
  'proxy-source': 'it did not come from a known proxy',
  'tls-handshake': 'encryption could not begin',
  'ws-handshake': 'no WebSocket was asked for, or not for MQTT',
  timeout: 'it took too long to connect',
  'peer-gone': 'left before it was connected',
  'address-denied': 'its address is not allowed',
  'address-links': 'too many from its address',
  'address-failures': 'too many failures from its address',
};

export function reasonOf(code) {
  return REASONS[code] ?? code;
}

const PAUSES = {
  identity: 'being checked',
  memory: 'memory is short',
  'in-flight': 'too much under way',
  outbox: 'does not read',
  rate: 'sends too fast',
  broker: 'the broker is full',
};

/** Why a link is not read now, and for how long. */
export function pauseOf({ paused, pausedMs = 0 }) {
  return paused === undefined ? '' : `${PAUSES[paused] ?? paused}, ${spanOf(pausedMs)}`;
}

export function processName({ role, index }) {
  return role === 'acceptor' ? `acceptor ${index}` : role;
}

/** "acceptor 2 did not answer: …" for each of those. */
export function missingOf(missing = []) {
  return missing.map(({ acceptor, why }) => `acceptor ${acceptor} did not answer: ${why}`);
}
