// A Teltonika tracker, simulated: it logs in, sends a record at a time, each until it is
// acknowledged, and answers commands.
//
//   node examples/protocols/teltonika-device.js 127.0.0.1 7027 356307042441013
//
// It ends with its link, or on a signal.
import { connect } from 'node:net';
import { packetOf } from './teltonika.js';

const [host = '127.0.0.1', port = '7027', imei = '356307042441013', seconds = '10'] =
  process.argv.slice(2);
const AGAIN_MS = 5_000;

const socket = connect(Number(port), host);
/** The record that is not acknowledged yet. */
let waiting;
let timer;
let unread = Buffer.alloc(0);
let isKnown = false;

/** One record in Codec 8: when, where, and the ignition as element 239. */
function recordOf(at) {
  const data = Buffer.alloc(35);
  data.set([0x08, 1]);
  data.writeBigUInt64BE(BigInt(at), 2);
  data.writeInt32BE(48_357_000, 11);
  data.writeInt32BE(457_640_000, 15);
  data.writeInt16BE(173, 19);
  data.writeUInt8(9, 23);
  data.set([0, 1, 1, 239, 1, 0, 0, 0, 1], 26);
  return data;
}

function send(packet, what) {
  console.log(`device: ${what}`);
  socket.write(packet);
}

function report() {
  waiting ??= packetOf(recordOf(Date.now()));
  send(waiting, 'a record');
  clearTimeout(timer);
  timer = setTimeout(report, AGAIN_MS);
}

function onAcknowledged(count) {
  console.log(`server: ${count} safe`);
  waiting = undefined;
  clearTimeout(timer);
  timer = setTimeout(report, Number(seconds) * 1_000);
}

function onCommand(text) {
  console.log(`server: command ${text}`);
  const said = Buffer.from(`${text}: OK`);
  const answer = Buffer.alloc(8 + said.length);
  answer.set([0x0c, 1, 0x06]);
  answer.writeUInt32BE(said.length, 3);
  answer.set(said, 7);
  answer[answer.length - 1] = 1;
  send(packetOf(answer), `answer ${said}`);
}

/** The bytes that one word of the server takes; 0: it is not there yet. */
function next(bytes) {
  if (!isKnown) {
    if (bytes[0] !== 1) throw new Error('not let in');
    isKnown = true;
    report();
    return 1;
  }
  if (bytes.length < 4) return 0;
  if (bytes.readUInt32BE(0) !== 0) {
    onAcknowledged(bytes.readUInt32BE(0));
    return 4;
  }
  if (bytes.length < 8 || bytes.length < 12 + bytes.readUInt32BE(4)) return 0;
  const size = bytes.readUInt32BE(11);
  onCommand(bytes.toString('latin1', 15, 15 + size));
  return 12 + bytes.readUInt32BE(4);
}

socket.on('connect', () => {
  send(Buffer.concat([Uint8Array.of(0, imei.length), Buffer.from(imei)]), `login ${imei}`);
});
socket.on('data', (chunk) => {
  unread = Buffer.concat([unread, chunk]);
  for (let used = 1; used > 0 && unread.length > 0; unread = unread.subarray(used)) {
    used = next(unread);
  }
});
socket.on('error', ({ message }) => console.log(`device: ${message}`));
socket.on('close', () => {
  clearTimeout(timer);
  console.log('device: the link is over');
});
