package main

import (
	"net/netip"
	"net/url"
	"time"

	"ftpfs/conn"

	"github.com/spf13/pflag"
	"golang.org/x/net/http/httpproxy"
)

// wayFlags is what the flags say about how the server is reached, until apply
// puts it into its Config.
type wayFlags struct {
	ConnectTimeout time.Duration
	IPv4, IPv6     bool
	Bind           string
	Proxy          string // "": as the environment says
	Passive        string // whose address counts: control or reply
	Active         bool
	ActiveAddress  string
	ActivePorts    string
}

func (w *wayFlags) register(f *pflag.FlagSet) {
	f.Var(secondsValue{&w.ConnectTimeout, time.Second}, "connect-timeout", "how long a TCP connection may take to be there")
	f.BoolVarP(&w.IPv4, "ipv4", "4", false, "use IPv4 only")
	f.BoolVarP(&w.IPv6, "ipv6", "6", false, "use IPv6 only")
	f.StringVar(&w.Bind, "bind-address", "", "connect from this `ADDRESS` of ours")
	f.StringVar(&w.Proxy, "proxy", "", "go through the proxy at `URL`, socks5://... or http://...; none: not through that of $ALL_PROXY")
	f.Var(choiceValue{&w.Passive, []string{"control", "reply"}}, "pasv-address",
		"reply takes data connections to the host that the server names, not only to the server")
	f.BoolVar(&w.Active, "active", false, "have the server make the data connections (EPRT, PORT)")
	f.StringVar(&w.ActiveAddress, "active-address", "", "the `ADDRESS` that it is told, where a router translates")
	f.StringVar(&w.ActivePorts, "active-ports", "", "the ports that it may connect to, as `LOW-HIGH`")
}

// apply puts what the flags say into cfg.
func (w *wayFlags) apply(cfg *conn.Config, getenv func(string) string) (err error) {
	switch {
	case w.IPv4 && w.IPv6:
		return usagef("-4 and -6 together leave no address: give one of them")
	case w.IPv4:
		cfg.Family = 4
	case w.IPv6:
		cfg.Family = 6
	}
	cfg.TrustPassive, cfg.Active = w.Passive == "reply", w.Active
	if cfg.BindAddress, err = parseAddress("--bind-address", w.Bind); err != nil {
		return err
	}
	if cfg.ActiveAddress, err = parseAddress("--active-address", w.ActiveAddress); err != nil {
		return err
	}
	if w.ActivePorts != "" {
		if cfg.ActivePorts, err = conn.ParsePortRange(w.ActivePorts); err != nil {
			return usagef("--active-ports: %v", err)
		}
	}
	if !w.Active && (w.ActiveAddress != "" || w.ActivePorts != "") {
		return usagef("--active-address and --active-ports mean nothing without --active")
	}
	if cfg.Proxy = w.proxy(cfg.Address(), getenv); cfg.Proxy == "" {
		return nil
	}
	if _, err := conn.ParseProxy(cfg.Proxy); err != nil {
		return usagef("--proxy: %v", err)
	}
	if w.Active {
		return usagef("--active cannot go through a proxy: leave it away, or give --proxy=none")
	}
	return nil
}

// proxy returns the URL of the proxy, "" for none: of the flag, else of the
// environment, whose $NO_PROXY names hosts to be reached without.
func (w *wayFlags) proxy(address string, getenv func(string) string) string {
	either := func(name, lower string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return getenv(lower)
	}
	switch w.Proxy {
	case "none":
		return ""
	case "":
	default:
		return w.Proxy
	}
	env := httpproxy.Config{HTTPSProxy: either("ALL_PROXY", "all_proxy"), NoProxy: either("NO_PROXY", "no_proxy")}
	u, err := env.ProxyFunc()(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return env.HTTPSProxy // whose parsing tells what is wrong
	}
	if u == nil {
		return ""
	}
	return u.String()
}

func parseAddress(flag, s string) (a netip.Addr, err error) {
	if s == "" {
		return a, nil
	}
	if a, err = netip.ParseAddr(s); err != nil {
		return a, usagef("%s: %q is no IP address", flag, s)
	}
	return a.Unmap(), nil
}
