package main

import (
	"fmt"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

type three struct {
	client mqtt.Client
	// The socket of the link that is open: the library has no way to cut it.
	socket *net.TCPConn
}

func connect3(one order) device {
	made := &three{}
	options := mqtt.NewClientOptions().
		AddBroker(fmt.Sprintf("tcp://%s:%d", one.Host, one.Port)).
		SetClientID(one.ID).
		SetProtocolVersion(4).
		SetKeepAlive(time.Duration(one.Keepalive) * time.Second).
		SetAutoReconnect(one.Reconnect).
		SetMaxReconnectInterval(time.Second).
		SetOnConnectHandler(func(mqtt.Client) { say("connected", nil) }).
		SetConnectionLostHandler(func(mqtt.Client, error) { say("lost", code(0)) }).
		SetDefaultPublishHandler(func(_ mqtt.Client, message mqtt.Message) {
			say("message", map[string]any{
				"topic": message.Topic(), "payload": string(message.Payload()),
			})
		}).
		SetCustomOpenConnectionFn(func(to *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			socket, err := dial(to)
			made.socket = socket
			return socket, err
		})
	if one.Will != nil {
		options.SetWill(one.Will.Topic, one.Will.Payload, 1, false)
	}
	made.client = mqtt.NewClient(options)
	token := made.client.Connect()
	if token.Wait(); token.Error() != nil {
		refusal := -1
		for value, err := range packets.ConnErrors {
			if err == token.Error() {
				refusal = int(value)
			}
		}
		say("refused", code(refusal))
	}
	return made
}

func (made *three) subscribe(filter string) int {
	token := made.client.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	token.Wait()
	return int(token.Result()[filter])
}

func (made *three) publish(one order) int {
	token := made.client.Publish(one.Topic, one.Qos, false, one.Payload)
	if token.Wait(); token.Error() != nil {
		return -1
	}
	return 0
}

func (made *three) drop() { cut(made.socket) }

func (made *three) disconnect() {
	made.client.Disconnect(0)
	say("lost", code(0))
}
