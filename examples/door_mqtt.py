"""
A door on Owsla by MQTT: python3 door_mqtt.py HOST PORT DEVICE   (apt install python3-paho-mqtt)

It publishes `door/state` when it is connected and when it has moved, opens at the command
`door.open`, and answers. MQTT may bring a command twice, and Owsla does while it has no PUBACK:
whoever opens a door remembers the last 16 keys and answers a known one as before. docs/mqtt.md.
Its token, where Owsla wants one, is in DEVICE_TOKEN. Takes paho-mqtt 1.6 and 2.
"""
import os
import sys

import paho.mqtt.client as mqtt

OK, REFUSED, FAILED = 0, 3, 5
KEYS = 16
answers = {}  # key: (status, text), the oldest first; firmware keeps it in flash


def act(topic, text):
    if topic != 'door/open':
        return REFUSED, ''
    print(f'command {topic}: {text}', flush=True)  # it opens here
    return OK, 'opened'


def on_command(door, _, message):
    _, _, key, *words = message.topic.split('/')  # $owsla/command/KEY/door/open
    if key in answers:
        print('again', '/'.join(words), flush=True)
    else:
        answers[key] = FAILED, ''  # before it acts: if power fails now, it may have opened or not
        if len(answers) > KEYS:
            del answers[next(iter(answers))]
        answers[key] = act('/'.join(words), message.payload.decode(errors='replace'))
    status, text = answers[key]
    door.publish(f'$owsla/result/{key}/{status}', text, qos=1)
    if status == OK:
        door.publish('door/state', 'open', qos=1)


def on_connect(door, _, __, code, ___=None):
    if code == 0:
        print('connected', flush=True)
        door.subscribe('$owsla/command/#', qos=1)  # on every link: Owsla keeps no subscriptions
        door.publish('door/state', 'here', qos=1)
    else:
        print('refused:', code, flush=True)


def make(device):
    options = {'client_id': device, 'protocol': mqtt.MQTTv311}
    if hasattr(mqtt, 'CallbackAPIVersion'):
        options['callback_api_version'] = mqtt.CallbackAPIVersion.VERSION2
    door = mqtt.Client(**options)
    if 'DEVICE_TOKEN' in os.environ:
        door.username_pw_set(device, os.environ['DEVICE_TOKEN'])
    door.will_set('door/state', 'gone', qos=1)
    door.reconnect_delay_set(1, 120)
    door.max_inflight_messages_set(16)
    door.on_connect = on_connect
    door.on_disconnect = lambda *_: print('lost', flush=True)
    door.message_callback_add('$owsla/command/#', on_command)
    return door


host, port, device = sys.argv[1:4]
door = make(device)
door.connect_async(host, int(port), keepalive=60)
door.loop_forever(retry_first_connection=True)
