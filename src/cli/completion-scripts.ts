/**
 * What a shell sources so that the tab key works: a function that asks the program itself what may come next.
 * Source: bash(1) "Programmable Completion"; zshcompsys(1) _describe; fish-completions(7).
 * @module
 */

export type Shell = 'bash' | 'zsh' | 'fish';

/** The hidden command that answers; a line is a word, a tab and what it is about. `:files` asks for file names. */
export const ASK = '__complete';

export const completionScript = (shell: Shell, program: string): string => SCRIPTS[shell](program);

const bash = (
  program: string,
): string => `# bash completion of ${program}: source <(${program} completion bash)
_${program}_complete() {
  local line word found
  COMPREPLY=()
  # Words as the program gets them: bash cuts at = and : too.
  read -r -a words <<< "\${COMP_LINE:0:COMP_POINT}"
  [[ "\${COMP_LINE:0:COMP_POINT}" == *" " ]] && words+=("")
  word="\${words[\${#words[@]}-1]}"
  found=$("\${words[0]}" ${ASK} -- "\${words[@]:1}" 2>/dev/null) || return
  while IFS=$'\\t' read -r line _; do
    [[ -z "$line" ]] && continue
    if [[ "$line" == ":files" ]]; then
      compopt -o default 2>/dev/null
      COMPREPLY=()
      return
    fi
    # What stands before the last = or : is on the line already.
    [[ "$word" == *[=:]* && "$COMP_WORDBREAKS" == *[=:]* ]] && line="\${line#"\${word%"\${word##*[=:]}"}"}"
    COMPREPLY+=("$line")
  done <<< "$found"
  [[ \${#COMPREPLY[@]} -eq 1 && "\${COMPREPLY[0]}" == *= ]] && compopt -o nospace 2>/dev/null
}
complete -F _${program}_complete ${program}
`;

const zsh = (program: string): string => `#compdef ${program}
# zsh completion of ${program}: source <(${program} completion zsh), or a file _${program} in $fpath
_${program}() {
  local -a found words_found
  local line word about
  found=("\${(@f)$("\${words[1]}" ${ASK} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $found; do
    [[ -z "$line" ]] && continue
    if [[ "$line" == ":files" ]]; then
      _files
      return
    fi
    word="\${line%%$'\\t'*}"
    about="\${line#*$'\\t'}"
    words_found+=("\${word//:/\\\\:}:$about")
  done
  _describe '${program}' words_found
}
compdef _${program} ${program}
`;

const fish = (
  program: string,
): string => `# fish completion of ${program}: ${program} completion fish | source
function __${program}_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] ${ASK} -- $words[2..-1] 2>/dev/null)
    if test "$found" = ":files"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c ${program} -f -a '(__${program}_complete)'
`;

const SCRIPTS: Readonly<Record<Shell, (program: string) => string>> = { bash, zsh, fish };
