"""The scripts that `completion` prints.

Run ids are anybody's text, and come from the command itself. The shell must not expand them: bash's ``compgen -W``
would run a ``$(...)`` in one. They are compared as text, and quoted where they are inserted.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

from mini_mlflow.cli.completion import Described, Option

_BASH = """\
# Completion of mini-mlflow for bash. Load it with: eval "$(mini-mlflow completion bash)"
_mini_mlflow() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= options= words= ids= tree=() id i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --runs-dir)
                ((i++))
                [[ ${COMP_WORDS[i]} == "=" ]] && ((i++))
                # As it was typed, so that a tilde means the home.
                ((i < COMP_CWORD)) && tree=(--runs-dir "${COMP_WORDS[i]/#\\~/$HOME}")
                ;;
            -*) ;;
            *) [[ -z $command ]] && command=${COMP_WORDS[i]} ;;
        esac
    done
    case "$command $prev" in
        *" --runs-dir")
            compopt -o filenames 2>/dev/null
            while IFS= read -r id; do COMPREPLY+=("$id"); done < <(compgen -d -- "$cur")
            return
            ;;
%(values)s    esac
    case $command in
%(commands)s        *) return ;;
    esac
    if [[ $cur == -* ]]; then
        words=$options
    elif [[ -n $ids ]]; then
        while IFS= read -r id; do
            [[ $id == "$cur"* ]] && COMPREPLY+=("$(printf %%q "$id")")
        done < <(mini-mlflow "${tree[@]}" $ids 2>/dev/null)
        return
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _mini_mlflow mini-mlflow
"""

_ZSH = """\
#compdef mini-mlflow
# Completion of mini-mlflow for zsh. Load it with: source <(mini-mlflow completion zsh)
_mini_mlflow() {
    local command= ids= word i
    local -a tree options found
    for ((i = 2; i < CURRENT; i++)); do
        word=${words[i]}
        case $word in
            --runs-dir=*) tree=(--runs-dir "${word#*=}") ;;
            --runs-dir) ((i++)); tree=(--runs-dir "${words[i]}") ;;
            -*) ;;
            *) [[ -z $command ]] && command=$word ;;
        esac
    done
    case "$command ${words[CURRENT-1]}" in
        *" --runs-dir") _files -/; return ;;
%(values)s    esac
    case $command in
%(commands)s        *) return ;;
    esac
    if [[ ${words[CURRENT]} == -* ]]; then
        compadd -- $options
    elif [[ -n $ids ]]; then
        found=("${(@f)$(mini-mlflow "${tree[@]}" ${=ids} 2>/dev/null)}")
        compadd -a found
    else
        compadd -a found
    fi
}
compdef _mini_mlflow mini-mlflow
"""

_FISH = """\
# Completion of mini-mlflow for fish. Load it with: mini-mlflow completion fish | source
function __mini_mlflow_ids
    set -l typed (commandline -opc)
    set -l tree
    if set -l at (contains -i -- --runs-dir $typed)
        set tree --runs-dir $typed[(math $at + 1)]
    end
    mini-mlflow $tree $argv 2>/dev/null
end
complete -c mini-mlflow -f
"""


def dump_bash(described: Sequence[Described]) -> str:
    """A script for bash 4 and newer."""
    commands = "".join(
        "        %s) options='%s' words='%s' ids='%s' ;;\n"
        % (command.name or "''", _names(command), " ".join(command.words), command.ids)
        for command in described
    )
    values = "".join(
        "        %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n" % (places, words)
        for places, words in _values(described)
    )
    return _BASH % {"commands": commands, "values": values}


def dump_zsh(described: Sequence[Described]) -> str:
    """A script for zsh with its completion system loaded (``compinit``)."""
    commands = "".join(
        "        %s) options=(%s) found=(%s) ids='%s' ;;\n"
        % (command.name or "''", _names(command), " ".join(command.words), command.ids)
        for command in described
    )
    values = "".join("        %s) compadd -- %s; return ;;\n" % (places, words) for places, words in _values(described))
    return _ZSH % {"commands": commands, "values": values}


def dump_fish(described: Sequence[Described]) -> str:
    """A script for fish 3 and newer."""
    top, *commands = described
    lines = [_FISH, *(_fish_option("", option) for option in top.options)]
    for command in commands:
        name = "-n __fish_use_subcommand -a %s -d %s" % (command.name, _quote(command.summary))
        where = "-n '__fish_seen_subcommand_from %s' " % command.name
        lines.append("complete -c mini-mlflow %s\n" % name)
        if command.ids:
            lines.append("complete -c mini-mlflow %s-a '(__mini_mlflow_ids %s)'\n" % (where, command.ids))
        if command.words:
            lines.append("complete -c mini-mlflow %s-a '%s'\n" % (where, " ".join(command.words)))
        lines += [_fish_option(where, option) for option in command.options if option not in top.options]
    return "".join(lines)


def _names(command: Described) -> str:
    return " ".join(name for option in command.options for name in option.names)


def _values(described: Sequence[Described]) -> List[Tuple[str, str]]:
    """For each option that takes a value, where it stands and what the value may be; no words if nobody can know."""
    found = []
    for command in described:
        for option in command.options:
            if option.takes_value and "--runs-dir" not in option.names:
                places = "|".join('"%s %s"' % (command.name, name) for name in option.names)
                found.append((places, " ".join(option.choices)))
    return found


def _fish_option(where: str, option: Option) -> str:
    names = " ".join(("-l " + name[2:]) if name.startswith("--") else ("-s " + name[1:]) for name in option.names)
    value = ""
    if "--runs-dir" in option.names:
        value = " -x -a '(__fish_complete_directories)'"
    elif option.takes_value:
        value = " -x -a '%s'" % " ".join(option.choices)
    return "complete -c mini-mlflow %s%s%s -d %s\n" % (where, names, value, _quote(option.summary))


def _quote(text: str) -> str:
    return "'%s'" % text.replace("\\", "\\\\").replace("'", "\\'")
