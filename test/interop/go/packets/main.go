// Prints the packet table of mochi-mqtt/server as JSON, one case a line, for mochi.test.ts.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"sort"

	"github.com/mochi-mqtt/server/v2/packets"
)

type row struct {
	Kind    byte   `json:"kind"`
	Case    byte   `json:"case"`
	Name    string `json:"name"`
	Version byte   `json:"version"`
	Raw     string `json:"raw"`
}

func main() {
	kinds := []int{}
	for kind := range packets.TPacketData {
		kinds = append(kinds, int(kind))
	}
	sort.Ints(kinds)
	out := json.NewEncoder(os.Stdout)
	for _, kind := range kinds {
		for _, one := range packets.TPacketData[byte(kind)] {
			version := byte(4)
			if one.Packet != nil && one.Packet.ProtocolVersion != 0 {
				version = one.Packet.ProtocolVersion
			}
			err := out.Encode(row{
				Kind: byte(kind), Case: one.Case, Name: one.Desc,
				Version: version, Raw: hex.EncodeToString(one.RawBytes),
			})
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}
