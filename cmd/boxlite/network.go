package main

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

// group is a command of which there are several kinds.
func (a *app) group(name, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: name + " COMMAND", Short: short, Long: short + ".",
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name what to do: see boxlite %s --help", name)
			}
			return usagef("unknown command %q for %q", args[0], c.CommandPath())
		},
	}
	for _, sub := range commands {
		do := sub.RunE
		sub.RunE = func(c *cobra.Command, args []string) error {
			a.ran = true
			return do(c, args)
		}
		c.AddCommand(sub)
	}
	return c
}

func (a *app) networkCommand() *cobra.Command {
	return a.group("network", "Show and change what a box may reach",
		a.networkRulesCommand(),
		a.networkChangeCommand("allow", "Let a box reach more", `Allow adds rules for what a box may reach. A box that had none could reach everything
before, and can reach only this from now on.`,
			func(p *boxlite.NetworkPolicy, rules []string) error {
				p.Allow = appendNew(p.Allow, rules)
				return nil
			}),
		a.networkChangeCommand("deny", "Let a box reach less", `Deny adds rules for what a box may not reach, whatever else is allowed.`,
			func(p *boxlite.NetworkPolicy, rules []string) error {
				p.Deny = appendNew(p.Deny, rules)
				return nil
			}),
		a.networkChangeCommand("forget", "Take back rules of allow and deny", `Forget takes back rules that allow, deny, or run with --allow-net or --deny-net, have
given, written in the same way. A box without rules reaches everything: forget
refuses to take back the last rule that allows something.`, forgetRules))
}

// forgetRules removes rules from a policy.
func forgetRules(p *boxlite.NetworkPolicy, rules []string) error {
	hadAllow := len(p.Allow) > 0
	for _, rule := range rules {
		if !slices.Contains(p.Allow, rule) && !slices.Contains(p.Deny, rule) {
			return usagef("there is no rule %q: see boxlite network rules", rule)
		}
		is := func(r string) bool { return r == rule }
		p.Allow = slices.DeleteFunc(slices.Clone(p.Allow), is)
		p.Deny = slices.DeleteFunc(slices.Clone(p.Deny), is)
	}
	if hadAllow && len(p.Allow) == 0 {
		return usagef("without a rule that allows something, the box could reach everything: add another rule first")
	}
	return nil
}

func appendNew(rules, more []string) []string {
	rules = slices.Clone(rules)
	for _, rule := range more {
		if !slices.Contains(rules, rule) {
			rules = append(rules, rule)
		}
	}
	return rules
}

func (a *app) networkChangeCommand(name, short, long string, change func(*boxlite.NetworkPolicy, []string) error) *cobra.Command {
	return &cobra.Command{
		Use:   name + " BOX RULE...",
		Short: short,
		Long: long + `

The rules hold for the box's run, if it runs, and for later ones; connections that
they don't allow are reset.`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				info, err := box.Info(c.Context())
				if err != nil {
					return err
				}
				p := boxlite.NetworkPolicy{Allow: info.Network.Allow, Deny: info.Network.Deny, AllowHost: info.Network.AllowHost}
				if err := change(&p, args[1:]); err != nil {
					return err
				}
				return box.SetNetworkPolicy(c.Context(), p)
			})
		},
	}
}

func (a *app) networkRulesCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:               "rules [flags] BOX",
		Short:             "List the rules of a box's network",
		Long:              "Rules lists what a box may reach, and what not.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				info, err := box.Info(c.Context())
				if err != nil {
					return err
				}
				return a.write(format, info.Network, func() table { return ruleTable(info.Network) })
			})
		},
	}
	formatFlag(c, &format, "table")
	return c
}

func ruleTable(n boxlite.Network) table {
	t := table{{"DECISION", "RULE"}}
	if n.Mode == boxlite.NetworkNone {
		return append(t, []string{"deny", "everything: the box has no network"})
	}
	for _, rule := range n.Deny {
		t = append(t, []string{"deny", rule})
	}
	for _, rule := range n.Allow {
		t = append(t, []string{"allow", rule})
	}
	for _, port := range n.AllowHost {
		t = append(t, []string{"allow", "port " + strconv.Itoa(port) + " of this host"})
	}
	if len(n.Join) > 0 {
		t = append(t, []string{"allow", "boxes in " + strings.Join(n.Join, ", ")})
	}
	if len(n.Allow) == 0 {
		return append(t, []string{"allow", "all else, but this host and metadata services"})
	}
	return append(t, []string{"deny", "all else"})
}

func hostPort(p boxlite.Port) string { return net.JoinHostPort(p.HostIP, strconv.Itoa(p.HostPort)) }
