package conn

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Deadlines of a session (the project's DESIGN.md has the reasons).
const (
	DefaultConnectTimeout = 10 * time.Second // to have a TCP connection
	DefaultTimeout        = 30 * time.Second // for one reply, and without progress of a transfer
)

// Config says which server to talk to and how. ParseURL fills the first part.
type Config struct {
	Host        string // name or address as typed, without brackets
	Port        int    // 1 to 65535; 21 by default, 990 with implicit TLS
	User        string // "anonymous" when the URL names none
	Password    string
	HasPassword bool     // Password was given, be it empty
	Account     string   // for servers that want one beside the password (ACCT)
	Commands    []string // sent after each login; a refusal of one makes it fail
	Path        string   // directory to mount: absolute, or relative to the login directory ("" is that itself)

	TLS TLS // the zero value is clear text

	// The ways to the server.
	Family       int        // 4 or 6: addresses of that family only; 0: any
	BindAddress  netip.Addr // our own address; the zero value: any
	Proxy        string     // for ParseProxy, password included; "": none
	TrustPassive bool       // data connections go to the address that PASV names

	Active        bool       // the server makes the data connections
	ActiveAddress netip.Addr // that it is told; the zero value: ours of the control connection
	ActivePorts   PortRange

	ConnectTimeout time.Duration  // 0: DefaultConnectTimeout
	Timeout        time.Duration  // 0: DefaultTimeout
	Bandwidth      int64          // bytes a second of all sessions together, in each direction; 0: no limit
	NoWarm         bool           // no data connection is made before it is needed
	FactsFile      string         // where what was found out about the server is kept; "": nowhere
	ListZone       *time.Location // of the times in LIST; nil: it is found out
	Charset        *Charset       // of names; nil: UTF-8
	Log            *slog.Logger   // nil: discard
	Trace          io.Writer      // what is said with the server, without secrets; nil: nowhere

	// Dial opens the control and the data connections. nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}
