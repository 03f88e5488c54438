package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

const rootHelp = `Mounts an FTP server as a folder.

URL is ftp://[USER[:PASSWORD]@]HOST[:PORT]/[DIR], with ftpes:// or ftps:// for
TLS that must be there (explicit, implicit). Without USER the login is
anonymous. DIR starts at the login directory; a second slash, as in
ftp://HOST//srv, starts at the server's root. The password is taken from
--password-file, the URL, $FTPFS_PASSWORD, ~/.netrc ($NETRC), or asked for.

The command returns once the mount works, and the mount goes on in the
background until ftpfs umount MOUNTPOINT.`

const exitHelp = `
Exit codes:
  0  done
  1  the mount failed, or anything else did
  2  wrong flags, options or URL
  3  the server cannot be reached or refuses the login
`

// newRoot returns the command line.
func newRoot(std stdio) *cobra.Command {
	s := defaultSettings()
	root := &cobra.Command{
		Use:     "ftpfs [flags] URL MOUNTPOINT",
		Short:   "Mounts an FTP server as a folder",
		Long:    rootHelp,
		Example: "  ftpfs ftp://me@ftp.example.org/ ~/mnt\n  ftpfs umount ~/mnt",
		Args:    exactly(2, "a URL and a mountpoint: ftpfs URL MOUNTPOINT"),
		RunE: func(c *cobra.Command, args []string) error {
			return mountURL(c.Context(), s, args[0], args[1], std)
		},
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	groups := s.register(root.Flags())
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(umountCommand(std), statusCommand(std), flushCommand(std), refreshCommand(), recoverCommand(std),
		demoCommand(std), doctorCommand(std), versionCommand(std), detachedProcess())
	showGroups(root, groups)
	return root
}

// flagError makes a usage error of what the flag parser says.
func flagError(_ *cobra.Command, err error) error {
	if told, ok := errors.AsType[*exitError](err); ok {
		return told
	}
	return usagef("%v: see ftpfs --help", err)
}

// exactly checks the number of arguments. It never repeats them: one may hold
// a password.
func exactly(n int, want string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%d arguments, but want %s; see ftpfs --help", len(args), want)
		}
		return nil
	}
}

func versionCommand(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(0, "none"),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(std.out, version())
			return err
		},
	}
}

// version names the build.
func version() string {
	v, revision := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return fmt.Sprintf("ftpfs %s%s %s/%s %s", v, revision, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func detachedProcess() *cobra.Command {
	return &cobra.Command{
		Use:    detachedCommand,
		Hidden: true,
		RunE:   func(c *cobra.Command, _ []string) error { return runDetached(c.Context()) },
	}
}

// untilSignal returns a context for commands that end at the first Ctrl-C.
func untilSignal(ctx context.Context) (context.Context, func()) {
	s := newStopper(ctx)
	release := s.watch(s.signal)
	return s.stopping, func() {
		release()
		s.kill()
	}
}
