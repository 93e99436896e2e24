/** BrokerErrors: what amqplib and RabbitMQ say, as one sentence and the right exit code. */
import t from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { brokerAddress, brokerError } from '../../src/broker/brokerErrors.ts';

const URL_DOORS = 'amqp://door:s3cret@broker.example/doors%2Fnorth';

function system(code: string): Error {
  return Object.assign(new Error(`connect ${code} 127.0.0.1:5672`), { code });
}

/** Texts as RabbitMQ 3.10 and amqplib word them. */
const CASES: [string, Error, number, RegExp][] = [
  [
    'nothing listens',
    system('ECONNREFUSED'),
    EXIT.unavailable,
    /cannot reach .*:5672: connection refused: nothing listens/,
  ],
  ['no such host', system('ENOTFOUND'), EXIT.unavailable, /the host name is unknown/],
  ['no answer', new Error('connect ETIMEDOUT'), EXIT.unavailable, /did not answer in time/],
  [
    'several addresses',
    new AggregateError([system('ECONNREFUSED'), system('ECONNREFUSED')]),
    EXIT.unavailable,
    /connect ECONNREFUSED/,
  ],
  [
    'a broker that is still starting',
    new Error('Socket closed abruptly during opening handshake'),
    EXIT.unavailable,
    /closed the connection/,
  ],
  [
    'a wrong password',
    new Error(
      'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."',
    ),
    EXIT.config,
    /refused the name or password of user 'door'/,
  ],
  [
    'a vhost that is missing or of others',
    new Error('Expected ConnectionOpenOk; got <ConnectionClose channel:0>'),
    EXIT.config,
    /did not open vhost 'doors\/north' for user 'door'/,
  ],
  [
    'no permission',
    new Error(
      `Operation failed: ExchangeDeclare; 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - access to exchange 'owsla.events' in vhost '/' refused for user 'door'"`,
    ),
    EXIT.config,
    /does not let user 'door' declare or use the exchange 'owsla.events'/,
  ],
  [
    'another topology',
    new Error(
      `Operation failed: QueueDeclare; 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'owsla.unrouted' in vhost '/': received the value '5' of type 'signedint' but current is the value '9' of type 'signedint'"`,
    ),
    EXIT.config,
    /the queue 'owsla.unrouted' already exists .* with another 'x-max-length' \(received the value '5'/,
  ],
];

for (const [name, error, exitCode, sentence] of CASES) {
  t.test(`${name}: one sentence and exit code ${exitCode}`, async (t) => {
    const fault = brokerError(error, URL_DOORS);
    t.equal(fault.exitCode, exitCode);
    t.match(fault.message, sentence);
    t.notMatch(fault.message, /s3cret|\n/);
  });
}

t.test('the address has the default port of its scheme and no user', async (t) => {
  t.equal(brokerAddress(URL_DOORS), 'broker.example:5672');
  t.equal(brokerAddress('amqps://a:b@h'), 'h:5671');
  t.equal(brokerAddress('amqp://[::1]:99'), '[::1]:99');
});
