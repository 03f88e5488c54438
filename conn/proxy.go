package conn

import (
	"errors"
	"net"
	"net/url"
)

// ParseProxy reads the URL of a proxy: socks5://[user[:password]@]host[:port],
// also as socks5h://, with port 1080, or http://…, which must know CONNECT,
// with port 8080. The errors never quote the URL, which may hold a password.
func ParseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("the proxy is no URL: write socks5://host:port or http://host:port")
	}
	port := u.Port()
	switch u.Scheme {
	case "socks5", "socks5h":
		if port == "" {
			port = "1080"
		}
	case "http":
		if port == "" {
			port = "8080"
		}
	default:
		return nil, errors.New("the proxy has an unknown scheme: write socks5://host:port or http://host:port")
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return u, nil
}
