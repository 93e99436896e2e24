// A device by Eclipse Paho for Go, for test/interop: 3.1.1 by paho.mqtt.golang, 5 by paho.golang. A
// JSON object a line in, one a line out. Which ones: the header of test/interop/lib/driven.ts.
package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"sync"
)

type will struct {
	Topic   string `json:"topic"`
	Payload string `json:"payload"`
}

type order struct {
	Do          string  `json:"do"`
	Host        string  `json:"host"`
	Port        int     `json:"port"`
	ID          string  `json:"id"`
	Version     int     `json:"version"`
	Keepalive   uint16  `json:"keepalive"`
	Reconnect   bool    `json:"reconnect"`
	Will        *will   `json:"will"`
	Filter      string  `json:"filter"`
	Topic       string  `json:"topic"`
	Payload     string  `json:"payload"`
	Qos         byte    `json:"qos"`
	Response    *string `json:"response"`
	Correlation string  `json:"correlation"`
}

type device interface {
	subscribe(filter string) int
	publish(one order) int
	drop()
	disconnect()
}

var out sync.Mutex

func say(is string, fields map[string]any) {
	out.Lock()
	defer out.Unlock()
	if fields == nil {
		fields = map[string]any{}
	}
	fields["is"] = is
	line, _ := json.Marshal(fields)
	os.Stdout.Write(append(line, '\n'))
}

func code(value int) map[string]any { return map[string]any{"code": value} }

func dial(to *url.URL) (*net.TCPConn, error) {
	socket, err := net.Dial("tcp", to.Host)
	if err != nil {
		return nil, err
	}
	return socket.(*net.TCPConn), nil
}

// A socket that is closed on purpose looks to the libraries like an end that was wanted.
func cut(socket *net.TCPConn) {
	socket.CloseWrite()
	socket.CloseRead()
}

func main() {
	say("here", map[string]any{"name": "paho for Go"})
	var client device
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var one order
		if json.Unmarshal(lines.Bytes(), &one) != nil {
			os.Exit(64)
		}
		if one.Keepalive == 0 {
			one.Keepalive = 60
		}
		switch one.Do {
		case "connect":
			if one.Version == 5 {
				client = connect5(one)
			} else {
				client = connect3(one)
			}
		case "subscribe":
			say("subscribed", code(client.subscribe(one.Filter)))
		case "publish":
			say("published", code(client.publish(one)))
		case "drop":
			client.drop()
		case "disconnect":
			client.disconnect()
		}
	}
}
