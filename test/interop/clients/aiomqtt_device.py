"""
A device by aiomqtt, for test/interop: a JSON object a line in, one a line out. Which ones: the
header of test/interop/lib/driven.ts.
"""
import asyncio
import importlib.metadata
import json
import socket
import sys

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def say(what, **fields):
    print(json.dumps({'is': what, **fields}), flush=True)


def code_of(error):
    code = getattr(error, 'rc', None)
    return getattr(code, 'value', code) if code is not None else str(error)


class Device:
    """aiomqtt has no reconnect of its own: its documentation shows this loop."""

    def __init__(self, order):
        self.order = order
        self.client = None
        will = order.get('will')
        self.will = will and aiomqtt.Will(will['topic'], will['payload'], 1)

    async def run(self):
        while True:
            is_in = False
            try:
                async with self.make() as client:
                    self.client = client
                    is_in = True
                    say('connected')
                    async for message in client.messages:
                        self.tell(message)
            except aiomqtt.MqttError as error:
                say('lost' if is_in else 'refused', code=code_of(error))
            if not self.order.get('reconnect'):
                return
            await asyncio.sleep(0.5)

    def make(self):
        order = self.order
        version = aiomqtt.ProtocolVersion.V5 if order.get('version') == 5 else \
            aiomqtt.ProtocolVersion.V311
        return aiomqtt.Client(order['host'], order['port'], identifier=order['id'],
                              protocol=version, keepalive=order.get('keepalive', 60),
                              will=self.will or None)

    def tell(self, message):
        fields = {'topic': message.topic.value, 'payload': message.payload.decode()}
        if message.properties is not None:
            fields['user'] = dict(getattr(message.properties, 'UserProperty', []))
            correlation = getattr(message.properties, 'CorrelationData', None)
            if correlation is not None:
                fields['correlation'] = correlation.decode()
        say('message', **fields)

    async def do(self, order):
        do = order['do']
        if do == 'subscribe':
            codes = await self.client.subscribe(order['filter'], 1)
            say('subscribed', code=getattr(codes[0], 'value', codes[0]))
        elif do == 'publish':
            properties = None
            if 'response' in order:
                properties = Properties(PacketTypes.PUBLISH)
                properties.ResponseTopic = order['response']
                properties.CorrelationData = order['correlation'].encode()
            await self.client.publish(order['topic'], order['payload'], order['qos'],
                                      properties=properties)
            say('published', code=0)
        elif do == 'drop':
            self.client._client.socket().shutdown(socket.SHUT_RDWR)
        elif do == 'disconnect':
            self.client._client.disconnect()


async def main():
    say('here', name='aiomqtt %s' % importlib.metadata.version('aiomqtt'))
    loop = asyncio.get_running_loop()
    device = None
    tasks = set()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if line == '':
            return
        order = json.loads(line)
        if order['do'] == 'connect':
            device = Device(order)
            work = device.run()
        else:
            work = device.do(order)
        task = loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
