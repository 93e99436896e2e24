"""
A device by paho-mqtt, for test/interop: a JSON object a line in, one a line out. Which ones: the
header of test/interop/lib/driven.ts. Takes paho 1.6 (Debian) and 2.x.
"""
import json
import socket
import sys
import warnings

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# Of paho 2, about the calls that 1.6 has too.
warnings.simplefilter('ignore', DeprecationWarning)
NAME = 'paho %s' % getattr(mqtt, '__version__', '')


def say(what, **fields):
    print(json.dumps({'is': what, **fields}), flush=True)


def code_of(code):
    return getattr(code, 'value', code)


def on_connect(client, _, _flags, code, _properties=None):
    if code_of(code) == 0:
        say('connected')
    else:
        say('refused', code=code_of(code))


def on_disconnect(_client, _, code, _properties=None):
    say('lost', code=code_of(code))


def on_subscribe(_client, _, _mid, codes, _properties=None):
    say('subscribed', code=code_of(codes[0]))


def on_publish(_client, _, _mid, *more):
    say('published', code=code_of(more[0]) if more else 0)


def on_message(_client, _, message):
    fields = {'topic': message.topic, 'payload': message.payload.decode()}
    properties = getattr(message, 'properties', None)
    if properties is not None:
        fields['user'] = dict(getattr(properties, 'UserProperty', []))
        correlation = getattr(properties, 'CorrelationData', None)
        if correlation is not None:
            fields['correlation'] = correlation.decode()
    say('message', **fields)


def make(order):
    version = order.get('version', 4)
    options = {'client_id': order['id'], 'protocol': version}
    if version == 4:
        options['clean_session'] = True
    options['reconnect_on_failure'] = order.get('reconnect', False)
    if hasattr(mqtt, 'CallbackAPIVersion'):
        options['callback_api_version'] = mqtt.CallbackAPIVersion.VERSION1
    client = mqtt.Client(**options)
    client.on_connect = on_connect
    client.on_disconnect = on_disconnect
    client.on_subscribe = on_subscribe
    client.on_publish = on_publish
    client.on_message = on_message
    client.reconnect_delay_set(1, 2)
    will = order.get('will')
    if will:
        client.will_set(will['topic'], will['payload'], 1)
    client.connect(order['host'], order['port'], order.get('keepalive', 60))
    client.loop_start()
    return client


def publish(client, order):
    properties = None
    if 'response' in order:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = order['response']
        properties.CorrelationData = order['correlation'].encode()
    client.publish(order['topic'], order['payload'], order['qos'], properties=properties)


def main():
    client = None
    for line in sys.stdin:
        order = json.loads(line)
        do = order['do']
        if do == 'connect':
            client = make(order)
        elif do == 'subscribe':
            client.subscribe(order['filter'], 1)
        elif do == 'publish':
            publish(client, order)
        elif do == 'drop':
            client.socket().shutdown(socket.SHUT_RDWR)
        elif do == 'disconnect':
            client.disconnect()


say('here', name=NAME)
main()
