package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
)

// parse parses command-line arguments as the mount command does.
func parse(args ...string) (*settings, error) {
	s := defaultSettings()
	f := pflag.NewFlagSet("ftpfs", pflag.ContinueOnError)
	s.register(f)
	err := f.Parse(args)
	if err != nil {
		err = flagError(nil, err)
	}
	return s, err
}

func TestSplitOptions(t *testing.T) {
	for list, want := range map[string][]string{
		"":                         nil,
		",,":                       nil,
		"ro":                       {"ro"},
		"ro,uid=5":                 {"ro", "uid=5"},
		`fsname=a\,b,ro`:           {"fsname=a,b", "ro"},
		`cache_dir=/a\\b,rw`:       {`cache_dir=/a\b`, "rw"},
		`cache_dir=/a\b`:           {`cache_dir=/a\b`},
		`end\`:                     {`end\`},
		"password_file=/x=y,ro,":   {"password_file=/x=y", "ro"},
		`log_file=/ä\,ö,x-systemd`: {"log_file=/ä,ö", "x-systemd"},
	} {
		if diff := cmp.Diff(want, splitOptions(list)); diff != "" {
			t.Errorf("%q: %s", list, diff)
		}
	}
}

func TestOptionsSet(t *testing.T) {
	bits := func(n uint32) *uint32 { return &n }
	for _, c := range []struct {
		args []string
		want func(*settings)
	}{
		{[]string{"-o", "ro"}, func(s *settings) { s.ReadOnly = true }},
		{[]string{"-o", "ro,rw"}, func(*settings) {}},
		{[]string{"--read-only", "-o", "rw"}, func(*settings) {}},
		{[]string{"-o", "read_only=false,ro"}, func(s *settings) { s.ReadOnly = true }},
		{[]string{"-o", "allow_other,foreground"}, func(s *settings) { s.AllowOther, s.Foreground = true, true }},
		{[]string{"-o", "allow-other=true"}, func(s *settings) { s.AllowOther = true }},
		{[]string{"-o", "cache_size=5M,cache-dir=/c,dir_ttl=5"}, func(s *settings) {
			s.CacheSize, s.CacheDir, s.DirTTL = 5<<20, "/c", 5*time.Second
		}},
		{[]string{"-o", "uid=5,gid=6,umask=077", "--uid", "7"}, func(s *settings) { s.UID, s.GID, s.Umask = 7, 6, bits(0o077) }},
		{[]string{"--uid", "7", "-ouid=5"}, func(s *settings) { s.UID = 5 }},
		{[]string{"-o", "file_mode=640", "-o", "dir_mode=0750"}, func(s *settings) { s.FileMode, s.DirMode = bits(0o640), bits(0o750) }},
		{[]string{"-o", "max_connections=3,timeout=1m,log_level=debug,log_file=/l,password_file=/p"}, func(s *settings) {
			s.MaxConnections, s.Timeout, s.LogLevel, s.LogFile, s.PasswordFile = 3, time.Minute, "debug", "/l", "/p"
		}},
		{[]string{"-o", "nodev,nosuid,noexec,noatime,max_read=131072"}, func(s *settings) {
			s.MountOptions = []string{"nodev", "nosuid", "noexec", "noatime", "max_read=131072"}
		}},
		{[]string{"-o", "dev,suid,exec"}, func(s *settings) { s.MountOptions = []string{"dev", "suid", "exec"} }},
		{[]string{"-o", "rw,async,sync,atime,relatime,auto,noauto,user=me,nouser,defaults,_netdev,nofail,comment=x,subtype=y,x-systemd.automount"}, func(*settings) {}},
		{[]string{"-o", "nonempty,fsname=my server"}, func(s *settings) { s.NonEmpty, s.FSName = true, "my server" }},
	} {
		got, err := parse(c.args...)
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		want := defaultSettings()
		c.want(want)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(portableConfig{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%q: %s", c.args, diff)
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	for list, says := range map[string]string{
		"nosiud":            "unknown option -o nosiud: did you mean nosuid?",
		"read_onyl":         "unknown option -o read_onyl: did you mean read-only?",
		"reconnect":         "unknown option -o reconnect: see ftpfs --help",
		"ro,zzz":            "unknown option -o zzz: see ftpfs --help",
		"uid":               "the option uid needs a value: -o uid=…",
		"uid=me":            "-o uid=me: want a number",
		"umask=8":           "-o umask=8: want permission bits",
		"umask=1777":        "-o umask=1777: want permission bits",
		"cache_size=0":      "-o cache_size=0: want a size",
		"dir_ttl=-1s":       "-o dir_ttl=-1s: want at least 0s",
		"timeout=1ms":       "-o timeout=1ms: want at least 1s",
		"log_level=loud":    "-o log_level=loud: want one of debug",
		"allow_other=maybe": "-o allow_other=maybe:",
		"fsname":            "the option fsname needs a value",
		"options=ro":        "unknown option -o options",
		"help":              "unknown option -o help",
	} {
		_, err := parse("-o", list)
		if err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("-o %s: %v, want %s", list, err, says)
		}
	}
}

// TestEveryFlagIsAnOption holds the promise that every long flag can be given by -o.
func TestEveryFlagIsAnOption(t *testing.T) {
	value := map[string]string{
		"size": "1M", "time": "5s", "octal": "0700", "number": "3", "int": "3", "string": "/x", "bool": "true",
		"zone": "UTC", "charset": "GBK", "stringArray": "x", "globs": "*.tmp",
	}
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	defaultSettings().register(f)
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Name == "options" {
			return
		}
		v, ok := value[flag.Value.Type()]
		if words, isChoice := flag.Value.(choiceValue); isChoice {
			v, ok = words.choices[len(words.choices)-1], true // never the default
		}
		if !ok {
			t.Fatalf("--%s has the unknown type %s", flag.Name, flag.Value.Type())
		}
		byFlag, err := parse("--" + flag.Name + "=" + v)
		if err != nil {
			t.Errorf("--%s=%s: %v", flag.Name, v, err)
		}
		byOption, err := parse("-o", strings.ReplaceAll(flag.Name, "-", "_")+"="+v)
		if err != nil {
			t.Errorf("-o %s=%s: %v", flag.Name, v, err)
		}
		if diff := cmp.Diff(byFlag, byOption, cmp.AllowUnexported(portableConfig{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("--%s and -o differ: %s", flag.Name, diff)
		}
		if cmp.Equal(byFlag, defaultSettings(), cmpopts.EquateComparable(netip.Addr{})) {
			t.Errorf("--%s=%s changes nothing", flag.Name, v)
		}
	})
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "", 3}, {"", "ab", 2}, {"nosiud", "nosuid", 2}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
