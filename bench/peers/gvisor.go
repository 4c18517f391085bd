// gvisor serves the bench's ports (echo 7, discard 9, chargen 19, HTTP 80) on gVisor's network stack over a TAP device. A peer to
// measure beside, not a part of the project: built from Debian's Go packages when `--peers=gvisor` asks for it.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	nic     = 1
	address = "10.77.0.2"
	answer  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
)

func check(what string, failure interface{}) {
	// The stack's own errors are typed pointers in an interface: printed, an absent one is "<nil>" too.
	if text := fmt.Sprint(failure); text != "<nil>" {
		fmt.Fprintf(os.Stderr, "%s: %s\n", what, text)
		os.Exit(1)
	}
}

func openTap(name string) int {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
	check("open", err)
	var request [40]byte
	copy(request[:], name)
	*(*uint16)(unsafe.Pointer(&request[16])) = unix.IFF_TAP | unix.IFF_NO_PI
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request[0])))
	if errno != 0 {
		check("TUNSETIFF", errno)
	}
	return fd
}

func makeStack(fd int, addr tcpip.Address) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	mac, err := net.ParseMAC("02:12:34:56:78:ab")
	check("address", err)
	link, err := fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: 1500, EthernetHeader: true, Address: tcpip.LinkAddress(mac), PacketDispatchMode: fdbased.Readv,
	})
	check("link", err)
	check("interface", s.CreateNIC(nic, link))
	prefix := tcpip.AddressWithPrefix{Address: addr, PrefixLen: 24}
	check("address", s.AddProtocolAddress(nic,
		tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: prefix}, stack.AddressProperties{}))
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	sack := tcpip.TCPSACKEnabled(true)
	check("SACK", s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 8 << 20}
	check("buffers", s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive))
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 8 << 20}
	check("buffers", s.SetTransportProtocolOption(tcp.ProtocolNumber, &send))
	return s
}

// chargen is the text of RFC 864, whole periods of it.
func chargen(periods int) []byte {
	var text []byte
	for line := 0; line < 95*periods; line++ {
		for column := 0; column < 72; column++ {
			text = append(text, byte(' '+(line+column)%95))
		}
		text = append(text, '\r', '\n')
	}
	return text
}

func serveHTTP(c net.Conn) {
	buffer := make([]byte, 16384)
	var head []byte
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		head = append(head, buffer[:n]...)
		for {
			end := bytes.Index(head, []byte("\r\n\r\n"))
			if end < 0 {
				break
			}
			head = head[end+4:]
			if _, err := c.Write([]byte(answer)); err != nil {
				return
			}
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gvisor TAP")
		os.Exit(2)
	}
	addr := tcpip.Address(net.ParseIP(address).To4())
	s := makeStack(openTap(os.Args[1]), addr)
	listen := func(port uint16, handle func(c net.Conn)) {
		l, err := gonet.ListenTCP(s, tcpip.FullAddress{NIC: nic, Addr: addr, Port: port}, ipv4.ProtocolNumber)
		check("listen", err)
		go func() {
			for {
				c, err := l.Accept()
				check("accept", err)
				go func() {
					defer c.Close()
					handle(c)
				}()
			}
		}()
	}
	text := chargen(18)
	listen(7, func(c net.Conn) { io.Copy(c, c) })
	listen(9, func(c net.Conn) { io.Copy(io.Discard, c) })
	listen(19, func(c net.Conn) {
		for {
			if _, err := c.Write(text); err != nil {
				return
			}
		}
	})
	listen(80, serveHTTP)
	datagrams, err := gonet.DialUDP(s, &tcpip.FullAddress{NIC: nic, Addr: addr, Port: 7}, nil, ipv4.ProtocolNumber)
	check("udp", err)
	go func() {
		buffer := make([]byte, 65536)
		for {
			n, from, err := datagrams.ReadFrom(buffer)
			check("read", err)
			datagrams.WriteTo(buffer[:n], from)
		}
	}()
	fmt.Println("ready")
	select {}
}
