package conn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// What a URL leaves out.
const (
	defaultPort       = 21
	implicitTLSPort   = 990
	anonymousUser     = "anonymous"
	anonymousPassword = "ftpfs@" // RFC 1635: an address, which servers check for an @ at most
)

// ParseURL reads ftp://[user[:password]@]host[:port][/dir] (RFC 1738, 3.2;
// RFC 3986). With ftpes:// TLS is explicit, with ftps:// implicit, with port
// 990; with ftp:// it is TLSAuto, see Secure. User, password and directory are percent-decoded. The directory
// is relative to the login directory unless it begins with %2F or a second
// slash; empty components and "." are dropped. Without a user the login is
// anonymous. An IPv6 address stands in brackets, with its zone behind "%25" or
// "%". HasPassword tells whether there was a password.
//
// The errors say what to write instead, and never quote the URL: any part of
// it may be a password that was not encoded.
func ParseURL(s string) (Config, error) {
	mode, rest, err := cutScheme(s)
	if err != nil {
		return Config{}, err
	}
	if strings.IndexByte(rest, '#') >= 0 {
		return Config{}, errors.New(`a "#" in a URL begins a fragment, which FTP has not: in a user, password or path write it %23`)
	}
	if strings.IndexByte(rest, '?') >= 0 {
		return Config{}, errors.New(`a "?" in a URL begins a query, which FTP has not: in a user, password or path write it %3F`)
	}
	authority, path, _ := strings.Cut(rest, "/")
	user, hostport := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hostport = authority[:i], authority[i+1:]
	}
	c := Config{TLS: TLS{Mode: mode}}
	if err := c.setUser(user); err != nil {
		return Config{}, err
	}
	if err := c.setHostPort(hostport); err != nil {
		if strings.IndexByte(path, '@') >= 0 {
			err = fmt.Errorf(`%w (a "/" in the user or password is written %%2F)`, err)
		}
		return Config{}, err
	}
	if c.Path, err = decodePath(path); err != nil {
		return Config{}, err
	}
	return c, nil
}

// cutScheme returns what the scheme means, and what follows "://".
func cutScheme(s string) (TLSMode, string, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !isScheme(scheme) {
		return 0, "", errors.New("not a URL: write ftp://user@host/dir")
	}
	switch strings.ToLower(scheme) {
	case "ftp":
		return TLSAuto, rest, nil
	case "ftpes":
		return TLSExplicit, rest, nil
	case "ftps":
		return TLSImplicit, rest, nil
	case "sftp":
		return 0, "", errors.New("sftp:// is not supported yet: only ftp://, ftpes:// and ftps://")
	}
	return 0, "", errors.New("the URL has an unknown scheme: write ftp://user@host/dir")
}

func isScheme(s string) bool {
	for i := range len(s) {
		letter := 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(s[i]))) {
			return false
		}
	}
	return s != ""
}

// setUser reads user[:password].
func (c *Config) setUser(s string) error {
	if strings.IndexByte(s, '@') >= 0 {
		return errors.New(`more than one "@" before the path: in the user or password write it %40`)
	}
	user, password, has := strings.Cut(s, ":")
	var err error
	if c.User, err = decode("user", user); err != nil {
		return err
	}
	if c.Password, err = decode("password", password); err != nil {
		return err
	}
	switch c.HasPassword = has; {
	case c.User == "" && has:
		return errors.New("a password without a user: write ftp://user:password@host/dir")
	case c.User == "":
		c.User = anonymousUser
	}
	if c.anonymous() && !has {
		c.Password, c.HasPassword = anonymousPassword, true
	}
	return nil
}

// anonymous reports whether the user is one that needs no password (RFC 1635).
func (c Config) anonymous() bool { return c.User == anonymousUser || c.User == "ftp" }

// setHostPort reads host[:port].
func (c *Config) setHostPort(s string) error {
	host, port := s, ""
	if inside, ok := strings.CutPrefix(s, "["); ok {
		addr, after, ok := strings.Cut(inside, "]")
		if !ok || after != "" && after[0] != ':' {
			return errors.New(`the address in brackets ends with a "]", before the port: [::1]:21`)
		}
		addr = strings.Replace(addr, "%25", "%", 1) // RFC 6874
		a, err := netip.ParseAddr(addr)
		if err != nil || !a.Is6() || a.Zone() != "" && checkHost(a.Zone()) != nil {
			return errors.New("what is in brackets is no IPv6 address")
		}
		host, port = addr, strings.TrimPrefix(after, ":")
	} else {
		if strings.Count(s, ":") > 1 {
			return errors.New("more than one colon in host:port: an IPv6 address stands in brackets, as in [::1]:21")
		}
		host, port, _ = strings.Cut(s, ":")
		if err := checkHost(host); err != nil {
			return err
		}
	}
	c.Host, c.Port = host, c.usualPort()
	if port == "" {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return errors.New("the port is not a number from 1 to 65535")
	}
	c.Port = int(n)
	return nil
}

// checkHost refuses what can be neither a name nor an IPv4 address.
func checkHost(host string) error {
	if host == "" {
		return errors.New("the URL names no host: write ftp://user@host/dir")
	}
	for _, b := range []byte(host) {
		if b <= ' ' || b == 0x7f || strings.IndexByte("%\"'<>[]\\^`{|}!$&()*+,;=", b) >= 0 {
			return errors.New("the host holds a character that no host name has")
		}
	}
	return nil
}

// decodePath returns the directory of a Config. s follows the slash that ends
// the host.
func decodePath(s string) (string, error) {
	if i := strings.LastIndex(strings.ToLower(s), ";type="); i >= 0 && len(s)-i <= len(";type=x") {
		return "", errors.New(`";type=" at the end of the URL: files are always moved byte by byte; if it belongs to the name, write the ";" as %3B`)
	}
	path, err := decode("path", s)
	if err != nil {
		return "", err
	}
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", errors.New(`".." in the path: write the path without it, from the server's root as ftp://host/%2Fdir`)
		default:
			parts = append(parts, part)
		}
	}
	clean := strings.Join(parts, "/")
	if strings.HasPrefix(path, "/") {
		clean = "/" + clean
	}
	return clean, nil
}

// decode undoes the percent-encoding of one part of a URL; what names the part.
func decode(what, s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", badEncoding(what)
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", badEncoding(what)
		}
		b.WriteByte(byte(n))
		i += 2
	}
	if checkBytes(b.String()) != nil {
		return "", fmt.Errorf("the %s holds NUL, CR or LF, which FTP cannot send", what)
	}
	return b.String(), nil
}

func badEncoding(what string) error {
	return fmt.Errorf(`a "%%" in the %s is not followed by two hexadecimal digits: write a "%%" as %%25`, what)
}

// encode percent-encodes all but RFC 3986's unreserved characters and those
// in keep.
func encode(s, keep string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if alnum || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Address returns host:port, as net.Dial takes it.
func (c Config) Address() string {
	return net.JoinHostPort(c.Host, strconv.Itoa(c.port()))
}

func (c Config) port() int {
	if c.Port == 0 {
		return c.usualPort()
	}
	return c.Port
}

// usualPort is the port that the URL need not name.
func (c Config) usualPort() int {
	if c.TLS.Mode == TLSImplicit {
		return implicitTLSPort
	}
	return defaultPort
}

// scheme is that of the URL: what stands before "://".
func (c Config) scheme() string {
	switch c.TLS.Mode {
	case TLSExplicit:
		return "ftpes"
	case TLSImplicit:
		return "ftps"
	default:
		return "ftp"
	}
}

func (c Config) user() string {
	if c.User == "" {
		return anonymousUser
	}
	return c.User
}

// Identity returns user@host:port of the server as the journal knows it: the
// host in lower case, and port 21 also for 990, which is the same server
// behind implicit TLS. The user is percent-encoded, so that equal identities
// have equal parts; the result holds no slash. Another charset than UTF-8 is
// part of it: paths in the journal mean other files without it.
func (c Config) Identity() string {
	id := encode(c.user(), "") + "@" + c.Server()
	if c.Charset != nil {
		id += ";charset=" + strings.ToLower(c.Charset.String())
	}
	return id
}

// Server returns host:port of the server as Identity has it, and KnownCerts.
func (c Config) Server() string {
	port := c.port()
	if port == implicitTLSPort {
		port = defaultPort
	}
	return net.JoinHostPort(encode(strings.ToLower(c.Host), ":%"), strconv.Itoa(port))
}

// Redacted returns the URL without the password: for fsname, logs and status.
// ParseURL reads it again as the same server, user and directory.
func (c Config) Redacted() string {
	s := c.scheme() + "://"
	if c.user() != anonymousUser {
		s += encode(c.User, "") + "@"
	}
	host := c.Host
	if strings.IndexByte(host, ':') >= 0 {
		addr, zone, ok := strings.Cut(host, "%")
		if host = "[" + addr; ok {
			host += "%25" + zone
		}
		host += "]"
	}
	s += host
	if port := c.port(); port != c.usualPort() {
		s += ":" + strconv.Itoa(port)
	}
	path := c.Path
	if rest, ok := strings.CutPrefix(path, "/"); ok {
		return s + "/%2F" + encode(rest, "/")
	}
	return s + "/" + encode(path, "/")
}

// String is Redacted, so that a Config that is printed gives no secret away.
func (c Config) String() string { return c.Redacted() }
