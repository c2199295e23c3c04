package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) portCommand() *cobra.Command {
	return a.group("port", "List and change the published ports of a box",
		a.portListCommand(), a.portAddCommand(), a.portRemoveCommand())
}

func (a *app) portListCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:     "ls [flags] BOX",
		Aliases: []string{"list"},
		Short:   "List the published ports of a box",
		Long: `Ls lists the ports of a box that can be reached by ports of this host. Of a box
that runs, it shows the ports that the host gave where any would do.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				ports, err := box.Ports(c.Context())
				if err != nil {
					return err
				}
				return a.write(format, ports, func() table { return portTable(ports) })
			})
		},
	}
	formatFlag(c, &format, "table")
	return c
}

func portTable(ports []boxlite.Port) table {
	t := table{{"HOST", "BOX"}}
	for _, p := range ports {
		host := p.HostIP + ":any"
		if p.HostPort != 0 {
			host = hostPort(p)
		}
		t = append(t, []string{host, fmt.Sprintf("%d/%s", p.GuestPort, p.Protocol)})
	}
	return t
}

func (a *app) portAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add BOX [[IP:]HOSTPORT:]PORT[/udp]...",
		Short: "Publish ports of a box",
		Long: `Add makes ports of a box reachable by ports of this host, at once if the box runs,
and whenever it is started later. It prints the host's addresses.`,
		Example:           "  boxlite port add web 8080:80",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			ports, err := parsePorts(args[1:])
			if err != nil {
				return err
			}
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				for _, p := range ports {
					published, err := box.Publish(c.Context(), p)
					if err != nil {
						return err
					}
					if published.HostPort == 0 {
						continue // the host gives one when the box is started
					}
					fmt.Fprintln(a.stdout, hostPort(published))
				}
				return nil
			})
		},
	}
}

func (a *app) portRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rm BOX [[IP:]HOSTPORT:]PORT[/udp]...",
		Aliases: []string{"remove"},
		Short:   "Unpublish ports of a box",
		Long: `Rm undoes what port add, or run -p, has done, and resets what is connected by
these ports.`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			ports, err := parsePorts(args[1:])
			if err != nil {
				return err
			}
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				for _, p := range ports {
					if err := box.Unpublish(c.Context(), p); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func parsePorts(texts []string) ([]boxlite.Port, error) {
	ports := make([]boxlite.Port, 0, len(texts))
	for _, text := range texts {
		p, err := parsePort(text)
		if err != nil {
			return nil, usagef("%w", err)
		}
		ports = append(ports, p)
	}
	return ports, nil
}
