//! The table of known sets.

use super::Digest::{Md5, Sha256};
use super::{Digest, KnownFile, KnownSet};

const CIFAR: &str = "https://www.cs.toronto.edu/~kriz/cifar.html";
const SVHN: &str = "http://ufldl.stanford.edu/housenumbers/";
const GTSRB: &str = "https://benchmark.ini.rub.de/gtsrb_dataset.html";
const ODIN: &str = "https://github.com/facebookresearch/odin";
const AUTHORS: &str = "its authors";
const TORCHVISION: &str = "torchvision";

/// All known sets.
pub const SETS: [KnownSet; 12] = [
    KnownSet {
        name: "cifar10",
        about: "CIFAR-10, binary version: 32 x 32, 10 classes, 50,000 and 10,000 images",
        page: CIFAR,
        licence: "none stated; cite Krizhevsky 2009",
        files: &[KnownFile {
            name: "cifar-10-binary.tar.gz",
            addresses: &["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
            bytes: Some(170_052_171),
            digest: Some(Md5("c32a1d4ab5d03f1284b67883e8d87530")),
            stated_by: AUTHORS,
            unpacked: &[
                ("cifar-10-batches-bin/data_batch_1.bin", Some(30_730_000)),
                ("cifar-10-batches-bin/data_batch_2.bin", Some(30_730_000)),
                ("cifar-10-batches-bin/data_batch_3.bin", Some(30_730_000)),
                ("cifar-10-batches-bin/data_batch_4.bin", Some(30_730_000)),
                ("cifar-10-batches-bin/data_batch_5.bin", Some(30_730_000)),
                ("cifar-10-batches-bin/test_batch.bin", Some(30_730_000)),
            ],
        }],
        frames: &[
            "cifar-10-batches-bin/data_batch_1.bin",
            "cifar-10-batches-bin/data_batch_2.bin",
            "cifar-10-batches-bin/data_batch_3.bin",
            "cifar-10-batches-bin/data_batch_4.bin",
            "cifar-10-batches-bin/data_batch_5.bin",
            "cifar-10-batches-bin/test_batch.bin",
        ],
    },
    KnownSet {
        name: "cifar10-python",
        about: "CIFAR-10, Python version: the same images",
        page: CIFAR,
        licence: "none stated; cite Krizhevsky 2009",
        files: &[KnownFile {
            name: "cifar-10-python.tar.gz",
            addresses: &["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"],
            bytes: Some(170_498_071),
            digest: Some(Md5("c58f30108f718f92721af3b95e74349a")),
            stated_by: AUTHORS,
            unpacked: &[
                ("cifar-10-batches-py/data_batch_1", None),
                ("cifar-10-batches-py/data_batch_2", None),
                ("cifar-10-batches-py/data_batch_3", None),
                ("cifar-10-batches-py/data_batch_4", None),
                ("cifar-10-batches-py/data_batch_5", None),
                ("cifar-10-batches-py/test_batch", None),
            ],
        }],
        frames: &[
            "cifar-10-batches-py/data_batch_1",
            "cifar-10-batches-py/data_batch_2",
            "cifar-10-batches-py/data_batch_3",
            "cifar-10-batches-py/data_batch_4",
            "cifar-10-batches-py/data_batch_5",
            "cifar-10-batches-py/test_batch",
        ],
    },
    KnownSet {
        name: "cifar100",
        about: "CIFAR-100, binary version: 32 x 32, 100 classes, 50,000 and 10,000 images",
        page: CIFAR,
        licence: "none stated; cite Krizhevsky 2009",
        files: &[KnownFile {
            name: "cifar-100-binary.tar.gz",
            addresses: &["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"],
            bytes: Some(168_513_733),
            digest: Some(Md5("03b5dce01913d631647c71ecec9e9cb8")),
            stated_by: AUTHORS,
            unpacked: &[
                ("cifar-100-binary/train.bin", Some(153_700_000)),
                ("cifar-100-binary/test.bin", Some(30_740_000)),
            ],
        }],
        frames: &["cifar-100-binary/train.bin", "cifar-100-binary/test.bin"],
    },
    KnownSet {
        name: "cifar100-python",
        about: "CIFAR-100, Python version: the same images",
        page: CIFAR,
        licence: "none stated; cite Krizhevsky 2009",
        files: &[KnownFile {
            name: "cifar-100-python.tar.gz",
            addresses: &["https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"],
            bytes: Some(169_001_437),
            digest: Some(Md5("eb9058c3a382ffc7106e4002c42a8d85")),
            stated_by: AUTHORS,
            unpacked: &[("cifar-100-python/train", None), ("cifar-100-python/test", None)],
        }],
        frames: &["cifar-100-python/train", "cifar-100-python/test"],
    },
    KnownSet {
        name: "svhn",
        about: "Street View House Numbers, cropped digits: 32 x 32, 73,257 and 26,032 images",
        page: SVHN,
        licence: "non-commercial use only; cite Netzer et al. 2011",
        files: &[
            plain(
                "train_32x32.mat",
                &["http://ufldl.stanford.edu/housenumbers/train_32x32.mat"],
                182_040_794,
                Sha256("435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
            ),
            plain(
                "test_32x32.mat",
                &["http://ufldl.stanford.edu/housenumbers/test_32x32.mat"],
                64_275_384,
                Sha256("cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
            ),
        ],
        frames: &["train_32x32.mat", "test_32x32.mat"],
    },
    KnownSet {
        name: "svhn-extra",
        about: "Street View House Numbers, 531,131 easier digits; 1.6 GB of memory to read",
        page: SVHN,
        licence: "non-commercial use only; cite Netzer et al. 2011",
        files: &[plain(
            "extra_32x32.mat",
            &["http://ufldl.stanford.edu/housenumbers/extra_32x32.mat"],
            1_329_278_602,
            Sha256("a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3"),
        )],
        frames: &["extra_32x32.mat"],
    },
    KnownSet {
        name: "mnist",
        about: "MNIST: 28 x 28 grey, 10 digits, 60,000 and 10,000 images",
        page: "http://yann.lecun.com/exdb/mnist/",
        licence: "none stated; cite LeCun et al. 1998",
        files: &[
            plain(
                "train-images-idx3-ubyte.gz",
                &[
                    "http://yann.lecun.com/exdb/mnist/train-images-idx3-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
                ],
                9_912_422,
                Sha256("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            ),
            plain(
                "train-labels-idx1-ubyte.gz",
                &[
                    "http://yann.lecun.com/exdb/mnist/train-labels-idx1-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
                ],
                28_881,
                Sha256("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            ),
            plain(
                "t10k-images-idx3-ubyte.gz",
                &[
                    "http://yann.lecun.com/exdb/mnist/t10k-images-idx3-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
                ],
                1_648_877,
                Sha256("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            ),
            plain(
                "t10k-labels-idx1-ubyte.gz",
                &[
                    "http://yann.lecun.com/exdb/mnist/t10k-labels-idx1-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
                ],
                4_542,
                Sha256("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
            ),
        ],
        frames: &["train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"],
    },
    KnownSet {
        name: "fashion-mnist",
        about: "Fashion-MNIST: 28 x 28 grey, 10 kinds of clothing, 60,000 and 10,000 images",
        page: "https://github.com/zalandoresearch/fashion-mnist",
        licence: "MIT",
        files: &[
            plain(
                "train-images-idx3-ubyte.gz",
                &[
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
                ],
                26_421_880,
                Sha256("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            ),
            plain(
                "train-labels-idx1-ubyte.gz",
                &[
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
                ],
                29_515,
                Sha256("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            ),
            plain(
                "t10k-images-idx3-ubyte.gz",
                &[
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
                ],
                4_422_102,
                Sha256("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            ),
            plain(
                "t10k-labels-idx1-ubyte.gz",
                &[
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
                ],
                5_148,
                Sha256("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
            ),
        ],
        frames: &["train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"],
    },
    KnownSet {
        name: "gtsrb",
        about: "German traffic signs: pictures of 15 to 250 pixels, 43 classes, 39,209 and 12,630",
        page: GTSRB,
        licence: "see the page; cite Stallkamp et al. 2012",
        files: &[
            KnownFile {
                name: "GTSRB_Final_Training_Images.zip",
                addresses: &[
                    "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/GTSRB_Final_Training_Images.zip",
                ],
                bytes: Some(276_294_756),
                digest: Some(Md5("f33fd80ac59bff73c82d25ab499e03a3")),
                stated_by: "several loaders, not its authors",
                unpacked: &[("GTSRB/Final_Training/Images/00042/GT-00042.csv", None)],
            },
            KnownFile {
                name: "GTSRB_Final_Test_Images.zip",
                addresses: &[
                    "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/GTSRB_Final_Test_Images.zip",
                ],
                bytes: Some(88_978_620),
                digest: Some(Sha256(
                    "48ba6fab7e877eb64eaf8de99035b0aaecfbc279bee23e35deca4ac1d0a837fa",
                )),
                stated_by: TORCHVISION,
                unpacked: &[("GTSRB/Final_Test/Images/12629.ppm", None)],
            },
            KnownFile {
                name: "GTSRB_Final_Test_GT.zip",
                addresses: &[
                    "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/GTSRB_Final_Test_GT.zip",
                ],
                bytes: None,
                digest: Some(Sha256(
                    "f94e5a7614d75845c74c04ddb26b8796b9e483f43541dd95dd5b726504e16d6d",
                )),
                stated_by: TORCHVISION,
                unpacked: &[("GT-final_test.csv", None)],
            },
        ],
        frames: &["GTSRB/Final_Training/Images", "GTSRB/Final_Test/Images"],
    },
    KnownSet {
        name: "tiny-imagenet",
        about: "Tiny-ImageNet: 64 x 64 JPEG, 200 classes, 100,000 and 10,000 images",
        page: "http://cs231n.stanford.edu/",
        licence: "none stated; its images are under ImageNet's terms",
        files: &[KnownFile {
            name: "tiny-imagenet-200.zip",
            addresses: &["http://cs231n.stanford.edu/tiny-imagenet-200.zip"],
            bytes: Some(248_100_043),
            digest: Some(Md5("90528d7ca1a48142e341f4ef8d21d0de")),
            stated_by: "several loaders, not its authors",
            unpacked: &[
                ("tiny-imagenet-200/wnids.txt", None),
                ("tiny-imagenet-200/val/val_annotations.txt", None),
            ],
        }],
        frames: &["tiny-imagenet-200/train", "tiny-imagenet-200/val"],
    },
    KnownSet {
        name: "imagenet-resize",
        about: "ODIN's Tiny-ImageNet (resize): 10,000 images of 32 x 32, resized with aliasing",
        page: ODIN,
        licence: "none stated; its images are under ImageNet's terms",
        files: &[KnownFile {
            name: "Imagenet_resize.tar.gz",
            addresses: &["https://www.dropbox.com/s/kp3my3412u5k9rl/Imagenet_resize.tar.gz?dl=1"],
            bytes: None,
            digest: Some(Md5("0f9ff11d45babf2eff5fe12281d1ac31")),
            stated_by: "pytorch-ood, not its authors",
            unpacked: &[("Imagenet_resize", None)],
        }],
        frames: &["Imagenet_resize/Imagenet_resize"],
    },
    KnownSet {
        name: "lsun-resize",
        about: "ODIN's LSUN (resize): 10,000 images of 32 x 32, resized with aliasing",
        page: ODIN,
        licence: "none stated",
        files: &[KnownFile {
            name: "LSUN_resize.tar.gz",
            addresses: &["https://www.dropbox.com/s/moqh2wh8696c3yl/LSUN_resize.tar.gz?dl=1"],
            bytes: None,
            digest: Some(Md5("278b7b31c8cb7e804a1465a8ce03a2dc")),
            stated_by: "pytorch-ood, not its authors",
            unpacked: &[("LSUN_resize", None)],
        }],
        frames: &["LSUN_resize/LSUN_resize"],
    },
];

/// A file that is read as it is, with its digest in torchvision.
const fn plain(
    name: &'static str,
    addresses: &'static [&'static str],
    bytes: u64,
    digest: Digest,
) -> KnownFile {
    KnownFile {
        name,
        addresses,
        bytes: Some(bytes),
        digest: Some(digest),
        stated_by: TORCHVISION,
        unpacked: &[],
    }
}
