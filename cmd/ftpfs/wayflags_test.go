package main

import (
	"strings"
	"testing"

	"ftpfs/conn"
)

func TestWayFlags(t *testing.T) {
	env := map[string]string{"all_proxy": "socks5://me:hunter2@p:9", "NO_PROXY": "near.example"}
	for _, c := range []struct {
		args  string
		host  string
		proxy string // of the Config
		says  string // of the error
	}{
		{"", "h", "socks5://me:hunter2@p:9", ""},
		{"", "near.example", "", ""},
		{"--proxy=none", "h", "", ""},
		{"--proxy=http://q", "near.example", "http://q", ""},
		{"--proxy=ftp://me:hunter2@q", "h", "", "unknown scheme"},
		{"--active", "h", "", "through a proxy"},
		{"--active --proxy=none --active-ports=5-7 --active-address=::ffff:192.0.2.1", "h", "", ""},
		{"--active --proxy=none --active-ports=7-5", "h", "", "50000-50100"},
		{"--active-ports=5-7", "h", "", "without --active"},
		{"--bind-address=h", "h", "", "no IP address"},
		{"-4 -6", "h", "", "-4 and -6"},
	} {
		s, err := parse(strings.Fields(c.args)...)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := conn.ParseURL("ftp://" + c.host)
		if err == nil {
			err = s.Way.apply(&cfg, func(name string) string { return env[name] })
		}
		switch {
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: %v, want %s", c.args, err, c.says)
		case c.says == "" && (err != nil || cfg.Proxy != c.proxy):
			t.Errorf("%s: %v, proxy %q, want %q", c.args, err, cfg.Proxy, c.proxy)
		}
	}
}
