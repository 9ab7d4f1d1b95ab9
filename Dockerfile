# furiosa-ir on Debian slim, for a user without privileges:
#
#     docker build --tag furiosa-ir .
#     docker run --rm --volume "$PWD:/work" --user "$(id -u):$(id -g)" --env HOME=/tmp furiosa-ir compile net.onnx -o net.enf
#
# Who has no home in the image needs some place for the compiler cache: HOME.
# The first stage has what installing needs (pip, a C compiler for the simulator's kernels), the second what running needs.
FROM debian:trixie-slim AS build
# Debian keeps no former version of a package that one could pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/furiosa-ir
COPY . /source
RUN /opt/furiosa-ir/bin/pip install --no-cache-dir "/source[litert,redis]"

FROM debian:trixie-slim
# onnxruntime is linked with libstdc++.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libstdc++6 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 furiosa \
    && install --directory --owner furiosa --group furiosa /work
COPY --from=build /opt/furiosa-ir /opt/furiosa-ir
ENV PATH="/opt/furiosa-ir/bin:$PATH"
# By number: so that Kubernetes sees that it is not root.
USER 1000:1000
WORKDIR /work
ENTRYPOINT ["furiosa"]
CMD ["--help"]
