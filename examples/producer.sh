#!/bin/sh
# Publishes pictures as the frames of one stream, with kcat.
#   examples/producer.sh STREAM PICTURE...     KAFKA and TOPIC in the environment name others
set -eu
stream=$1
shift
seq=0
epoch=$(date +%s)  # grows whenever this camera starts again
for picture in "$@"; do
    # `date` of every system gives whole seconds; pictures of one second get the note `clock`
    # murmur2_random: the partition that Java, kafka-python and `longtake camera` take for this key
    kcat -P -b "${KAFKA:-127.0.0.1:9092}" -t "${TOPIC:-frames}" -k "$stream" \
        -X topic.partitioner=murmur2_random -X message.max.bytes=9000000 \
        -H "captured-at=$(date +%s)000" -H "seq=$seq" -H "epoch=$epoch" "$picture"
    seq=$((seq + 1))
done
