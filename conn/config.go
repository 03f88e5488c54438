package conn

import (
	"context"
	"log/slog"
	"net"
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
	Port        int    // 1 to 65535; 21 by default
	User        string // "anonymous" when the URL names none
	Password    string
	HasPassword bool   // Password was given, be it empty
	Path        string // directory to mount: absolute, or relative to the login directory ("" is that itself)

	ConnectTimeout time.Duration  // 0: DefaultConnectTimeout
	Timeout        time.Duration  // 0: DefaultTimeout
	Bandwidth      int64          // bytes a second of all sessions together, in each direction; 0: no limit
	NoWarm         bool           // no data connection is made before it is needed
	FactsFile      string         // where what was found out about the server is kept; "": nowhere
	ListZone       *time.Location // of the times in LIST; nil: it is found out
	Log            *slog.Logger   // nil: discard

	// Dial opens the control and the data connections. nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}
