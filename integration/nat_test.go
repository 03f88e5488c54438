//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The two ends of the network behind the router (RFC 1918). No packet to them
// can leave this machine, and the client has no route to them.
const (
	innerAddr = "10.255.77.1" // the router's
	hidden    = "10.255.77.2" // the server's, which it tells its clients
)

// behindNAT makes a router of the namespace that the script starts in, and one
// behind it, where the server runs (see startBehind): what comes to the router
// is for the server (DNAT), what the server sends is the router's (masquerade).
// The server has no route but that to the client, so that its questions for
// names fail at once.
const behindNAT = `
	ip link set lo up
	ip link add far type veth peer name near netns "$1"
	ip addr add ` + farAddr + `/30 dev far
	ip link set far up
	shift
	echo 1 >/proc/sys/net/ipv4/ip_forward
	nft -f - <<-RULES
		table ip nat {
			chain in { type nat hook prerouting priority dstnat; iifname far ip protocol tcp dnat to ` + hidden + `; }
			chain out { type nat hook postrouting priority srcnat; oifname far masquerade; }
		}
	RULES
	exec 9</proc/self/ns/net
	exec unshare --net sh -ec '
		ip link set lo up
		ip link add eth type veth peer name inner netns /proc/self/fd/9
		nsenter --net=/proc/self/fd/9 sh -ec "ip addr add ` + innerAddr + `/30 dev inner; ip link set inner up"
		exec 9<&-
		ip addr add ` + hidden + `/30 dev eth
		ip link set eth up
		ip route add ` + nearAddr + ` via ` + innerAddr + `
		exec "$@"' sh "$@"`

// startBehindNAT starts a server whose address the router's hides.
func startBehindNAT(t *testing.T, k kind, more ...string) *server {
	t.Helper()
	ownNetwork(t)
	s := newServer(t, k, hidden, more...)
	s.host = farAddr
	s.startBehind(t, behindNAT)
	return s
}

// withoutEPSV is what makes a server refuse EPSV, so that it has to name an
// address; the others have no such setting.
var withoutEPSV = map[kind][]string{
	proftpd:   {"<Limit EPSV>", "DenyAll", "</Limit>"},
	vsftpd:    {"cmds_denied=EPSV"},
	pyftpdlib: {"del Handler.proto_cmds['EPSV']"},
}

// TestNAT: a server behind a router names its own address in its answer to PASV,
// where no client comes. It is reached all the same, and reaches the client; by
// that address it is not.
func TestNAT(t *testing.T) {
	forgetful(t)
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startBehindNAT(t, k, withoutEPSV[k]...)
			trace := filepath.Join(t.TempDir(), "trace")
			m := mount(t, s, "--trace", trace)
			worksWell(t, m)
			m.Unmount(t)
			dialogue, err := os.ReadFile(trace)
			must(t, err)
			if named := strings.Contains(string(dialogue), "("+strings.ReplaceAll(hidden, ".", ",")); named != (withoutEPSV[k] != nil) {
				t.Errorf("the server named %s: %v", hidden, named)
			}
			sh(t, s.Served, "rm -r *")
			refused(t, s, []string{hidden}, "--pasv-address=reply")
			flags := []string{"--active"}
			if k == pyftpdlib { // see TestActive
				flags = append(flags, "--max-connections=1")
			}
			worksWell(t, mount(t, s, flags...))
		})
	}
}

// TestNATOfAServerThatKnows: where the server is told the router's address,
// the one that it names is as good.
func TestNATOfAServerThatKnows(t *testing.T) {
	forgetful(t)
	for k, told := range map[kind]string{proftpd: "MasqueradeAddress " + farAddr, vsftpd: "pasv_address=" + farAddr} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			trace := filepath.Join(t.TempDir(), "trace")
			worksWell(t, mount(t, startBehindNAT(t, k, told), "--pasv-address=reply", "--trace", trace))
			dialogue, err := os.ReadFile(trace)
			must(t, err)
			if !strings.Contains(string(dialogue), "("+strings.ReplaceAll(farAddr, ".", ",")) {
				t.Errorf("the server never named %s", farAddr)
			}
		})
	}
}
