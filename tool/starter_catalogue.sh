#!/usr/bin/env bash
# starter_catalogue.sh [--date DATE] [LITELLM_JSON GENAI_FOLDER]: write examples/catalogue.yaml anew, from
# model_prices_and_context_window.json and the folder of genai-prices' providers/*.yml (../shared/data without them). What the
# import has to say goes to standard error: disagreements of the lists, and what could not be taken over.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

date=2026-08-21
[ "${1:-}" = --date ] && {
	date=$2
	shift 2
}
litellm=$(realpath "${1:-../shared/data/litellm/model_prices_and_context_window.json}")
genai=$(realpath "${2:-../shared/data/genai-prices/providers}")
lethe=$PWD/build/lethe
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed "s/DATE/$date/" tool/starter_catalogue.yaml >"$work/catalogue.yaml"
printf 'listen: ["127.0.0.1:8080"]\ncatalogue: catalogue.yaml\n' >"$work/lethe.yaml"

# take PROVIDER GENAI_FILE PATTERN...
take() {
	local provider=$1 file=$2 pattern
	shift 2
	local wanted=()
	for pattern; do wanted+=(--model "$pattern"); done
	printf '\n== %s ==\n' "$provider" >&2
	(cd "$work" && "$lethe" catalogue import "$genai/$file" "$litellm" --config lethe.yaml --date "$date" --provider "$provider" --write "${wanted[@]}")
}

take openai openai.yml 'gpt-4.1*' 'gpt-4o' 'gpt-4o-2024-08-06' 'gpt-4o-2024-11-20' 'gpt-4o-mini' 'gpt-4o-mini-2*' 'gpt-4o*-search-preview' 'gpt-audio*' \
	'gpt-5*' 'o1*' 'o3*' 'o4*' 'text-embedding-3*' 'omni-moderation*' '!gpt-5.3' '!gpt-5-chat' '!o1-mini' '!*image*'
take anthropic anthropic.yml 'claude-*-4-[1-9]*' 'claude-*-5*' '!claude-3*'
take gemini google.yml 'gemini-2.5*' 'gemini-3*' 'gemini-embedding*' \
	'!*image*' '!*live*' '!*audio*' '!*tts*' '!gemini-3.7-flash'
take xai x_ai.yml 'grok-[4-9]*' 'grok-code*' '!*multi-agent*'
take deepseek deepseek.yml deepseek-chat deepseek-reasoner 'deepseek-v4*'
cp "$work/catalogue.yaml" examples/catalogue.yaml
"$lethe" config check examples/starter.yaml 2>&1 | tail -1 >&2
