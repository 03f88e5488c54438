package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"

	"github.com/spf13/pflag"
)

// settings is all that a mount needs to know. It is made from argv and the
// environment, and handed to a detached process as JSON over a pipe.
type settings struct {
	Server     portableConfig
	Way        wayFlags
	TLS        tlsFlags
	Mountpoint string // absolute, without symbolic links

	CacheDir       string    // absolute
	CacheSize      sizeValue // 0: as much as fits, see cache.FitSize
	ReadAhead      sizeValue
	Prefetch       anySizeValue
	DirTTL         time.Duration
	Poll           time.Duration // 0: never
	StaleIfError   time.Duration // 0: nothing old is shown
	MaxConnections int
	PasswordFile   string
	Account        string
	Commands       []string
	Timeout        time.Duration
	Symlinks       string // contain, follow or raw
	ServerTimezone string // "": it is found out
	Charset        string // of the server's names, "": UTF-8
	DelayConnect   bool
	Bandwidth      sizeValue // bytes a second in each direction; 0: no limit
	Warm           string    // warmOn or warmOff
	Write          string    // through or back
	Upload         string    // atomic or direct
	Retry          time.Duration
	OnConflict     string   // keep-both, overwrite or fail
	LocalOnly      []string // patterns of names
	LogLevel       string
	LogFile        string // "" in the foreground: stderr
	TraceFile      string
	OwnLog         bool // LogFile is in the cache folder and kept small

	UID, GID                 idValue
	Umask, FileMode, DirMode *uint32 // nil: the process's umask; the server's modes
	AllowOther, ReadOnly     bool

	Foreground   bool
	NonEmpty     bool     // -o nonempty
	FSName       string   // -o fsname; "": the URL without password
	MountOptions []string // for the kernel
}

// The values of --warm, --write, --upload and --on-conflict.
const (
	warmOn  = "on"
	warmOff = "off"

	writeThrough = "through"
	writeBack    = "back"

	uploadAtomic = "atomic"
	uploadDirect = "direct"

	conflictKeepBoth  = "keep-both"
	conflictOverwrite = "overwrite"
	conflictFail      = "fail"
)

// portableConfig is a conn.Config that has a JSON form: the fields that are
// not data are shadowed by ones that stay empty.
type portableConfig struct {
	conn.Config
	Log, Dial, Trace *struct{} `json:",omitempty"`
}

// config returns the server's Config for a mount with these settings.
func (s *settings) config(log *slog.Logger) conn.Config {
	c := s.Server.Config
	c.Timeout = s.Timeout
	c.ConnectTimeout = min(s.Way.ConnectTimeout, s.Timeout)
	c.Bandwidth = int64(s.Bandwidth)
	c.NoWarm = s.Warm == warmOff
	c.ListZone = s.listZone()
	c.Charset, _ = conn.ParseCharset(s.Charset) // the flag takes no other
	c.FactsFile = filepath.Join(cache.Home(s.CacheDir, c.Identity()), "server.json")
	c.Log = log
	c.Account, c.Commands = s.Account, s.Commands
	return c
}

// level is the log level; the flag allows only words that slog knows.
func (s *settings) level() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// marshal returns the JSON form, password included.
func (s *settings) marshal() ([]byte, error) { return json.Marshal(s) }

// defaultSettings are those of a mount without any flag.
func defaultSettings() *settings {
	return &settings{
		CacheDir:       defaultCacheDir(os.Getenv, os.Getuid()),
		ReadAhead:      32 << 20,
		Prefetch:       8 << 20,
		DirTTL:         30 * time.Second,
		StaleIfError:   10 * time.Minute,
		Symlinks:       "contain",
		MaxConnections: 8,
		Timeout:        conn.DefaultTimeout,
		Warm:           warmOn,
		Write:          writeThrough,
		Upload:         uploadAtomic,
		Retry:          time.Minute,
		OnConflict:     conflictKeepBoth,
		LocalOnly:      []string{".*.sw?", "4913", ".fuse_hidden*"},
		LogLevel:       "info",
		Way:            wayFlags{ConnectTimeout: conn.DefaultConnectTimeout, Passive: "control"},
		TLS:            tlsFlags{Data: "private"},
		UID:            idValue(os.Getuid()),
		GID:            idValue(os.Getgid()),
	}
}

// defaultCacheDir is $XDG_CACHE_HOME/ftpfs or ~/.cache/ftpfs, for root without
// a home /var/cache/ftpfs, and else "".
func defaultCacheDir(getenv func(string) string, uid int) string {
	if d := getenv("XDG_CACHE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "ftpfs")
	}
	if d := getenv("HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, ".cache", "ftpfs")
	}
	if uid == 0 {
		return "/var/cache/ftpfs"
	}
	return ""
}

// register defines the flags of a mount and returns them as they are to be
// shown.
func (s *settings) register(f *pflag.FlagSet) []flagGroup {
	groups := []flagGroup{
		newFlagGroup("Server", s.serverFlags),
		newFlagGroup("Way to the server", s.Way.register),
		newFlagGroup("Encryption", s.TLS.register),
		newFlagGroup("Cache", s.cacheFlags),
		newFlagGroup("Writing", s.writeFlags),
		newFlagGroup("Files", s.fileFlags),
		newFlagGroup("Running", func(own *pflag.FlagSet) {
			s.runFlags(own)
			own.VarP(&optionList{s, f}, "options", "o", "any of the above as NAME=VALUE, and mount(8)'s options, comma-separated")
		}),
	}
	f.SortFlags = false
	for _, g := range groups {
		f.AddFlagSet(g.flags)
	}
	return groups
}

func (s *settings) serverFlags(f *pflag.FlagSet) {
	f.StringVar(&s.PasswordFile, "password-file", "", "read the password from the first line of `FILE`")
	f.StringVar(&s.Account, "account", "", "the `ACCOUNT` that a few servers want beside the password (ACCT)")
	f.StringArrayVar(&s.Commands, "command", nil, "send this FTP `COMMAND` after each login; may be given several times")
	f.IntVar(&s.MaxConnections, "max-connections", s.MaxConnections, "sessions at the server at most, 1 to 64")
	f.Var(secondsValue{&s.Timeout, time.Second}, "timeout", "how long the server may stay silent")
	f.Var(zoneValue{&s.ServerTimezone}, "server-timezone", "zone of the times in the server's listings where it does not tell, as Europe/Berlin or +02:00 (default: it is found out)")
	f.Var(charsetValue{&s.Charset}, "charset", "charset of the names on the server, as GBK, Shift_JIS, EUC-KR, windows-1251 or latin1 (default: UTF-8)")
	f.BoolVar(&s.DelayConnect, "delay-connect", false, "mount at once, also when the server cannot be reached yet")
	f.Var(&s.Bandwidth, "bwlimit", "bytes a second in each direction, for all sessions together (units K, M, G); 0: no limit")
	f.Var(choiceValue{&s.Warm, []string{warmOn, warmOff}}, "warm", "on: open data connections before they are needed, which saves round trips; off: only then")
}

func (s *settings) cacheFlags(f *pflag.FlagSet) {
	f.StringVar(&s.CacheDir, "cache-dir", s.CacheDir, "keep copies and the journal of writes in `DIR`")
	f.Var(&s.CacheSize, "cache-size", "bytes of copies to keep (units K, M, G, T; default: 10G or a tenth of the free space, the smaller)")
	f.Var(&s.ReadAhead, "read-ahead", "bytes that a download runs ahead of who reads in a row, at most")
	f.Var(&s.Prefetch, "prefetch", "bytes of small files fetched before a program that reads a directory's files in turn opens them; 0: none")
	f.Var(secondsValue{&s.DirTTL, 0}, "dir-ttl", "how long a directory listing is trusted; 0: not at all")
	f.Var(secondsValue{&s.Poll, 0}, "poll", "how often directories in use are listed again, at least 5s (default: never)")
	f.Var(secondsValue{&s.StaleIfError, 0}, "stale-if-error", "how old listings may be that are shown while the server cannot be reached; 0: none are")
}

func (s *settings) writeFlags(f *pflag.FlagSet) {
	f.Var(choiceValue{&s.Write, []string{writeThrough, writeBack}}, "write", "when close returns: through, with the file on the server; back, with it in the journal here")
	f.Var(choiceValue{&s.Upload, []string{uploadAtomic, uploadDirect}}, "upload", "atomic: to a temporary name that is renamed over the file; direct: over the file itself")
	f.Var(secondsValue{&s.Retry, 0}, "retry", "for how long close and fsync try again after a lost connection")
	f.Var(choiceValue{&s.OnConflict, []string{conflictKeepBoth, conflictOverwrite, conflictFail}}, "on-conflict", "what to do with a file that somebody else changed meanwhile: keep-both, overwrite or fail")
	f.Var(globsValue{&s.LocalOnly}, "local-only", "files that stay on this machine when they are created here, by `GLOB,...`")
}

func (s *settings) fileFlags(f *pflag.FlagSet) {
	f.Var(&s.UID, "uid", "owner shown for all files")
	f.Var(&s.GID, "gid", "group shown for all files")
	f.Var(modeValue{&s.Umask}, "umask", "permission bits to leave out where the server tells no mode (default: the process's umask)")
	f.Var(modeValue{&s.FileMode}, "file-mode", "permission bits of all files instead of the server's")
	f.Var(modeValue{&s.DirMode}, "dir-mode", "permission bits of all directories instead of the server's")
	f.Var(choiceValue{&s.Symlinks, []string{"contain", "follow", "raw"}}, "symlinks", "links that lead out of the mounted tree: contain, not readable; follow, shown as what they lead to; raw, all targets as on the server")
	f.BoolVar(&s.AllowOther, "allow-other", false, "let other users in, as the permission bits allow")
	f.BoolVar(&s.ReadOnly, "read-only", false, "refuse every change")
}

func (s *settings) runFlags(f *pflag.FlagSet) {
	f.BoolVarP(&s.Foreground, "foreground", "f", false, "stay in the foreground")
	f.Var(choiceValue{&s.LogLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "debug, info, warn or error")
	f.StringVar(&s.LogFile, "log-file", "", "append the log to `FILE`")
	f.StringVar(&s.TraceFile, "trace", "", "append to `FILE` what is said with the server, without passwords")
}

// listingAge is --dir-ttl as tree.Options has it, where 0 is the default.
func (s *settings) listingAge() time.Duration {
	if s.DirTTL == 0 {
		return -1
	}
	return s.DirTTL
}

// minPoll spares servers.
const minPoll = 5 * time.Second

// finish completes settings after the flags were parsed: it checks what a flag
// alone cannot check and makes paths absolute, because a detached process
// works in "/".
func (s *settings) finish() error {
	if s.MaxConnections < 1 || s.MaxConnections > 64 {
		return usagef("--max-connections is %d: give a number from 1 to 64", s.MaxConnections)
	}
	if s.Poll != 0 && s.Poll < minPoll {
		return usagef("--poll is %v: give at least %v, or 0 for never", s.Poll, minPoll)
	}
	if s.CacheDir == "" {
		return usagef("no folder for the cache, because $HOME is not set: give one with --cache-dir")
	}
	for _, p := range []*string{&s.CacheDir, &s.LogFile, &s.TraceFile, &s.PasswordFile} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return failf("cannot find out the working directory: %v", err)
		}
		*p = abs
	}
	for _, c := range s.Commands {
		if strings.ContainsAny(c, "\r\n\x00") || strings.TrimSpace(c) == "" {
			return usagef("--command wants one FTP command without line breaks, such as --command 'SITE UMASK 002'")
		}
	}
	if s.Umask == nil {
		mask := processUmask()
		s.Umask = &mask
	}
	return nil
}
