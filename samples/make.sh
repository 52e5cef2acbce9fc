#!/bin/sh
# Makes both sample clips from "Big Buck Bunny" (30 s, 1280x720, VP8 and Vorbis):
#   samples/make.sh big_buck_bunny_0_30.webm
# The source: github.com/Zulko/moviepy, media/big_buck_bunny_0_30.webm, commit 7ffa4f0.
set -eu
source=$1
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The original: both shots between the key frames at 11.795 s and 22.961 s, packets copied, nothing encoded again.
ffmpeg -v error -y -ss 11.795 -to 22.955 -i "$source" -map 0:v -map 0:a -c copy -fflags +bitexact "$here/bunny-original.webm"

cat > "$work/captions.srt" <<'END'
1
00:00:00,400 --> 00:00:03,600
A brook at the edge of the wood

2
00:00:04,200 --> 00:00:07,400
A bird tries its voice

3
00:00:08,000 --> 00:00:10,900
... and is not pleased with the echo
END
cat > "$work/chapters.txt" <<'END'
;FFMETADATA1
title=Big Buck Bunny (excerpt)
artist=Blender Foundation
copyright=(c) 2008 Blender Foundation, CC-BY 3.0, www.bigbuckbunny.org
[CHAPTER]
TIMEBASE=1/1000
START=0
END=3875
title=The brook
[CHAPTER]
TIMEBASE=1/1000
START=3875
END=11167
title=The bird
END

# The degraded clip: the four words that matter are scale=iw/4:ih/4, libx264, slow, 21.
ffmpeg -v error -y -i "$here/bunny-original.webm" -i "$work/captions.srt" -i "$work/chapters.txt" \
  -map 0:v -map 0:a -map 1 -map_metadata 2 -map_chapters 2 \
  -vf scale=iw/4:ih/4 -c:v libx264 -preset slow -crf 21 \
  -c:a aac -b:a 96k -c:s mov_text -metadata:s:a language=zxx -metadata:s:s language=eng \
  -fflags +bitexact -movflags +faststart "$here/bunny.mp4"
