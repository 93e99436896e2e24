// A GPS103 tracker, simulated: it logs in, says where it is, and obeys.
//
//   node examples/protocols/gps103-device.js 127.0.0.1 7103 359586015829802
//
// It ends with its link, or on a signal.
import { connect } from 'node:net';

const [host = '127.0.0.1', port = '7103', imei = '359586015829802', seconds = '10'] =
  process.argv.slice(2);

const socket = connect(Number(port), host);
socket.setEncoding('latin1');

const say = (text) => {
  console.log(`device: ${text}`);
  socket.write(text);
};

const two = (number) => String(number).padStart(2, '0');

/** What it says of its place, with a keyword that tells why. */
function report(keyword) {
  const now = new Date();
  const date = [now.getUTCFullYear() % 100, now.getUTCMonth() + 1, now.getUTCDate()];
  const time = [now.getUTCHours(), now.getUTCMinutes(), now.getUTCSeconds()];
  const local = [...date, ...time.slice(0, 2)].map(two).join('');
  const utc = `${time.map(two).join('')}.000`;
  say(`imei:${imei},${keyword},${local},,F,${utc},A,4545.8400,N,00450.1400,E,0.00,;`);
}

const ANSWERS = { B: 'tracker', J: 'jt', K: 'kt' };

function obey(letter) {
  const answer = ANSWERS[letter];
  if (answer !== undefined) report(answer);
}

let unread = '';
let timer;
socket.on('connect', () => say(`##,imei:${imei},A;`));
socket.on('data', (text) => {
  console.log(`server: ${text}`);
  unread += text;
  if (unread.startsWith('LOAD')) {
    unread = unread.slice(4);
    report('tracker');
    timer ??= setInterval(() => report('tracker'), Number(seconds) * 1_000);
  }
  for (let at = unread.indexOf(';'); at !== -1; at = unread.indexOf(';')) {
    const [, letter] = /^\*\*,imei:\d{15},([A-Z])/.exec(unread) ?? [];
    unread = unread.slice(at + 1);
    obey(letter);
  }
});
socket.on('error', ({ message }) => console.log(`device: ${message}`));
socket.on('close', () => {
  clearInterval(timer);
  console.log('device: the link is over');
});
