// Java's CertPath on many chains: one line each on standard input, base64 of the DER with spaces between, leaf first,
// the trusted root last. Prints "OK" or why not, one line each.  java CertPaths.java SECONDS_SINCE_1970 < chains

import java.io.*;
import java.security.cert.*;
import java.util.*;

public class CertPaths {
    public static void main(String[] arguments) throws Exception {
        Date at = new Date(Long.parseLong(arguments[0]) * 1000);
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            System.out.println(judged(factory, line.split(" "), at));
        }
    }

    static String judged(CertificateFactory factory, String[] chain, Date at) {
        try {
            List<X509Certificate> path = new ArrayList<>();
            for (String each : chain) {
                byte[] octets = Base64.getDecoder().decode(each);
                path.add((X509Certificate) factory.generateCertificate(new ByteArrayInputStream(octets)));
            }
            X509Certificate root = path.remove(path.size() - 1);
            PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
            parameters.setRevocationEnabled(false);
            parameters.setDate(at);
            CertPathValidator.getInstance("PKIX").validate(factory.generateCertPath(path), parameters);
            return "OK";
        } catch (Exception refused) {
            return String.valueOf(refused.getMessage()).replace('\n', ' ');
        }
    }
}
