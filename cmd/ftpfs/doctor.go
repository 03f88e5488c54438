package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/doctor"
	"ftpfs/conn/ftp"
	"ftpfs/fs/tree"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// oldTemporary is how old a temporary name is that no upload needs any more.
const oldTemporary = 24 * time.Hour

const doctorHelp = `Logs in and tries out what the server can do: encryption, data connections,
listings, what can be written and how, sessions, speed. It works in a folder of
its own in the directory of the URL, which it removes, and moves 48 MiB.

With --clean it lists what interrupted uploads have left in the directory of
the URL and below: temporary names that are older than a day.`

func doctorCommand(std stdio) *cobra.Command {
	s := defaultSettings()
	clean := false
	c := &cobra.Command{
		Use:   "doctor [flags] URL",
		Short: "Find out what a server can do, and what would help",
		Long:  doctorHelp,
		Args:  exactly(1, "a URL: ftpfs doctor URL"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := untilSignal(c.Context())
			defer stop()
			cfg, err := s.reach(ctx, args[0], std)
			if err != nil {
				return err
			}
			if clean {
				return listTemporaries(ctx, cfg, std)
			}
			return examine(ctx, cfg, s.MaxConnections, std)
		},
	}
	for _, g := range s.register(c.Flags()) {
		if g.title == "Server" || g.title == "Encryption" || g.title == "Way to the server" {
			continue
		}
		g.flags.VisitAll(func(f *pflag.Flag) { f.Hidden = true })
	}
	c.Flags().BoolVar(&clean, "clean", false, "list temporary names that are older than a day")
	return c
}

// reach returns the Config of a server for a command that ends soon.
func (s *settings) reach(ctx context.Context, url string, std stdio) (conn.Config, error) {
	cfg, err := conn.ParseURL(url)
	if err != nil {
		return cfg, usagef("%v", err)
	}
	if err := s.TLS.apply(&cfg, std.in != nil && term.IsTerminal(int(std.in.Fd()))); err != nil {
		return cfg, err
	}
	if err := s.Way.apply(&cfg, os.Getenv); err != nil {
		return cfg, err
	}
	find := secrets{getenv: os.Getenv, prompt: terminalPrompt(ctx, std.in, std.err), notice: noticeTo(std.err)}
	if err := find.find(ctx, &cfg, s.PasswordFile); err != nil {
		return cfg, err
	}
	s.Server, s.LogLevel = portableConfig{Config: cfg}, "error"
	cfg = s.config(newLogger(std.err, s))
	cfg.FactsFile = "" // what it finds is not for the mounts
	return cfg, nil
}

// examine prints what the doctor finds, a line each.
func examine(ctx context.Context, cfg conn.Config, sessions int, std stdio) error {
	certs := certificates{ask: terminalQuestion(ctx, std.in, std.err), known: conn.NewKnownCerts(cfg.TLS.Known)}
	return certs.retry(func() error {
		err := doctor.Examine(ctx, cfg, ftp.Dialer, sessions, func(f doctor.Finding) {
			fmt.Fprintf(std.out, "%-32s %s\n", f.What, oneLine(f.Result))
			if f.Advice != "" {
				fmt.Fprintf(std.out, "%-32s -> %s\n", "", f.Advice)
			}
		})
		if err != nil {
			return connectError(cfg, err)
		}
		return nil
	})
}

// listTemporaries prints what uploads have left.
func listTemporaries(ctx context.Context, cfg conn.Config, std stdio) error {
	s, err := ftp.Dialer(cfg)(ctx)
	if err != nil {
		return connectError(cfg, err)
	}
	defer s.Close()
	start := cfg.Path
	if !strings.HasPrefix(start, "/") {
		start = path.Join(s.Home(), start)
	}
	found := 0
	for dirs := []string{start}; len(dirs) > 0; dirs = dirs[1:] {
		l, err := s.List(ctx, dirs[0])
		switch {
		case err != nil && (dirs[0] == start || conn.OutcomeOf(err) != conn.Refused):
			return rootError(cfg, err)
		case err != nil:
			noticeTo(std.err)(fmt.Sprintf("cannot look into %s: %v", dirs[0], err))
		}
		for _, f := range l.Entries {
			name := path.Join(dirs[0], f.Name)
			switch {
			case f.Kind == conn.KindDir:
				dirs = append(dirs, name)
			case tree.IsTemporary(f.Name) && time.Since(f.Time) > oldTemporary:
				found++
				fmt.Fprintf(std.out, "%s %12d %s\n", f.Time.UTC().Format(time.DateTime), f.Size, oneLine(name))
			}
		}
	}
	fmt.Fprintf(std.err, "temporary files older than a day: %d\n", found)
	return nil
}
