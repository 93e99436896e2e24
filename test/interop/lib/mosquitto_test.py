"""
Runs one file of mosquitto's own tests of its broker, unchanged, against the broker at a port.

    python3 mosquitto_test.py FOLDER/test/broker/01-connect-success.py PORT

What is not as its authors run it, and why:
- no broker is started: the one at PORT is asked;
- what they do by MQTT 3.1 too, which Owsla does not speak, is done by 3.1.1 a second time;
- which properties a CONNACK, an acknowledgement or a DISCONNECT of MQTT 5 carries is a broker's own
  choice, so these packets are compared without them, a code of 0 may be said or left out, and 0x10
  (no matching subscribers), which a broker may say instead, is as good;
- where they await an end without a word, MQTT 5 lets a server say why first.
Exit code: the test's own; 0 is a pass.
"""
import os
import runpy
import sys

PATH, PORT = sys.argv[1:3]
FOLDER = os.path.dirname(os.path.abspath(PATH))
sys.path[:0] = [FOLDER, os.path.dirname(FOLDER)]
import mosq_test  # noqa: E402

CONNECT, CONNACK, PUBACK, SUBACK, UNSUBACK, DISCONNECT = 0x10, 0x20, 0x40, 0x90, 0xB0, 0xE0
versions = {}


class Broker:
    """What a test asks of the process that it believes to have started."""

    returncode = None

    def terminate(self):
        pass

    kill = poll = wait = terminate

    def communicate(self, timeout=None):
        return (b'', b'')


def number(body, at):
    """A variable byte integer, and where it ends."""
    value = 0
    for shift in range(0, 28, 7):
        value |= (body[at] & 0x7F) << shift
        at += 1
        if body[at - 1] < 0x80:
            return value, at
    raise ValueError('no variable byte integer')


def body_of(packet):
    length, at = number(packet, 1)
    return packet[at:at + length]


def meaning(packet, version):
    kind = packet[0] & 0xF0
    if version != 5 or len(packet) < 2:
        return packet
    body = body_of(packet)
    if kind == CONNACK:
        return (kind, body[:2])
    if kind == PUBACK:
        code = body[2:3] or b'\0'
        return (kind, body[:2], b'\0' if code == b'\x10' else code)
    if kind in (SUBACK, UNSUBACK):
        length, at = number(body, 2)
        return (kind, body[:2], body[at + length:])
    if kind == DISCONNECT:
        return (kind, body[:1] or b'\0')
    return packet


def is_refusal(packet, kind):
    body = body_of(packet)
    return body[1 if kind == CONNACK else 0] >= 0x80


def receive(sock):
    """One whole packet; b'' at the end."""
    packet = sock.recv(1)
    if packet == b'':
        return packet
    while len(packet) < 2 or (packet[-1] >= 0x80 and len(packet) < 5):
        packet += sock.recv(1)
    length, at = number(packet, 1)
    while len(packet) < at + length:
        more = sock.recv(at + length - len(packet))
        if more == b'':
            break
        packet += more
    return packet


def expect_packet(sock, name, expected):
    version = versions.get(sock)
    if version == 5 and len(expected) == 0:
        received = receive(sock)
        kind = received[:1] and received[0] & 0xF0
        if received == b'' or kind in (CONNACK, DISCONNECT) and is_refusal(received, kind):
            return True
        raise mosq_test.TestError
    if version != 5 or len(expected) == 0 or (expected[0] & 0xF0) == 0x30:
        return plain_expect(sock, name, expected)
    received = receive(sock)
    if received != b'' and meaning(received, 5) == meaning(expected, 5):
        return True
    print('FAIL: Received incorrect %s: %s instead of %s' % (name, received.hex(), expected.hex()))
    raise mosq_test.TestError


def do_send_receive(sock, send_packet, receive_packet, error_string='send receive error'):
    if send_packet and send_packet[0] == CONNECT:
        body = body_of(send_packet)
        at = 2 + int.from_bytes(body[:2], 'big')
        versions[sock] = body[at] & 0x7F if at < len(body) else 0
    return plain_send_receive(sock, send_packet, receive_packet, error_string)


def gen_connect(client_id, *args, **named):
    if named.get('proto_ver') == 3:
        named['proto_ver'] = 4
    return plain_gen_connect(client_id, *args, **named)


plain_gen_connect = mosq_test.gen_connect
plain_expect = mosq_test.expect_packet
plain_send_receive = mosq_test.do_send_receive
mosq_test.gen_connect = gen_connect
mosq_test.expect_packet = expect_packet
mosq_test.do_send_receive = do_send_receive
mosq_test.start_broker = lambda *_, **__: Broker()
os.chdir(FOLDER)
sys.argv = [PATH, PORT]
runpy.run_path(PATH, run_name='__main__')
