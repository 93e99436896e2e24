package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

type five struct {
	manager *autopaho.ConnectionManager
	// The socket of the link that is open: the library has no way to cut it.
	socket *net.TCPConn
	// The reason code of the server's DISCONNECT.
	reason atomic.Int32
}

func connect5(one order) device {
	made := &five{}
	background := context.Background()
	config := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{{Scheme: "mqtt", Host: fmt.Sprintf("%s:%d", one.Host, one.Port)}},
		KeepAlive:                     one.Keepalive,
		CleanStartOnInitialConnection: true,
		ReconnectBackoff:              func(int) time.Duration { return 500 * time.Millisecond },
		AttemptConnection: func(_ context.Context, _ autopaho.ClientConfig, to *url.URL) (net.Conn, error) {
			socket, err := dial(to)
			if err != nil {
				return nil, err
			}
			made.socket = socket
			return packets.NewThreadSafeConn(socket), nil
		},
		OnConnectionUp: func(*autopaho.ConnectionManager, *paho.Connack) {
			made.reason.Store(0)
			say("connected", nil)
		},
		OnConnectionDown: func() bool {
			say("lost", code(int(made.reason.Load())))
			return one.Reconnect
		},
		OnConnectError: func(err error) {
			var refused *autopaho.ConnackError
			if errors.As(err, &refused) {
				say("refused", code(int(refused.ReasonCode)))
			}
		},
		ClientConfig: paho.ClientConfig{
			ClientID:           one.ID,
			OnServerDisconnect: func(end *paho.Disconnect) { made.reason.Store(int32(end.ReasonCode)) },
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(received paho.PublishReceived) (bool, error) {
					tell(received.Packet)
					return true, nil
				},
			},
		},
	}
	if one.Will != nil {
		config.WillMessage = &paho.WillMessage{Topic: one.Will.Topic, Payload: []byte(one.Will.Payload), QoS: 1}
	}
	manager, err := autopaho.NewConnection(background, config)
	if err != nil {
		say("refused", code(-1))
		return made
	}
	made.manager = manager
	return made
}

func tell(message *paho.Publish) {
	user := map[string]string{}
	fields := map[string]any{
		"topic": message.Topic, "payload": string(message.Payload), "user": user,
	}
	if message.Properties != nil {
		for _, property := range message.Properties.User {
			user[property.Key] = property.Value
		}
		if message.Properties.CorrelationData != nil {
			fields["correlation"] = string(message.Properties.CorrelationData)
		}
	}
	say("message", fields)
}

func (made *five) subscribe(filter string) int {
	wanted := []paho.SubscribeOptions{{Topic: filter, QoS: 1}}
	answer, _ := made.manager.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: wanted})
	if answer == nil || len(answer.Reasons) == 0 {
		return -1
	}
	return int(answer.Reasons[0])
}

func (made *five) publish(one order) int {
	message := &paho.Publish{Topic: one.Topic, QoS: one.Qos, Payload: []byte(one.Payload)}
	if one.Response != nil {
		message.Properties = &paho.PublishProperties{
			ResponseTopic: *one.Response, CorrelationData: []byte(one.Correlation),
		}
	}
	answer, err := made.manager.Publish(context.Background(), message)
	if answer != nil {
		return int(answer.ReasonCode)
	}
	if err != nil {
		return -1
	}
	return 0
}

func (made *five) drop() { cut(made.socket) }

func (made *five) disconnect() {
	made.manager.Disconnect(context.Background())
	say("lost", code(0))
}
